"""Tools that look up rows, derived from a database."""

import yaml

from specialist.agent.database import open_database
from specialist.core.errors import UserError

HEAD = """\
# Derived from database.sql: a tool for each table that looks up a row by its key. Remove what the
# agent must not see, and add guards: `require` refuses a call whose query finds no row.
"""
CHANGE = """\
# A tool that changes rows. `:order_id` is an argument; `:customer_id` comes from the session.
# - name: cancel_order
#   description: Cancel an order of this customer.
#   parameters: {type: object, properties: {order_id: {type: string}}, required: [order_id]}
#   require:
#     - sql: SELECT 1 FROM orders WHERE id = :order_id AND customer_id = :customer_id
#       otherwise: this order is not on the customer's account
#   sql: UPDATE orders SET status = 'cancelled' WHERE id = :order_id
#   returns: SELECT status FROM orders WHERE id = :order_id
"""
WHY = "a tool needs one key column, and names of letters, digits and _"


def lookups(script):
    """A tools.yaml that looks up a row of each table by its key, and an example of a change.

    Returns:
        text; a comment names the tables without a tool. None if no table has one.

    Raises:
        UserError: the script fails.
    """
    try:
        database = open_database(script.read_text(encoding="utf-8"))
    except (UserError, UnicodeDecodeError) as error:
        raise UserError(f"{script}: {error}") from None
    entries, left_out = [], []
    names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    for (table,) in database.execute(names).fetchall():
        rows = database.execute("SELECT name, type, pk FROM pragma_table_info(?)", (table,))
        columns = rows.fetchall()
        keys = [column for column in columns if column[2]]
        if len(keys) != 1 or not all(name.isidentifier() for name in (table, keys[0][0])):
            left_out.append(table)
            continue
        key, kind = keys[0][0], "integer" if "INT" in keys[0][1].upper() else "string"
        entries.append({
            "name": f"find_{table}",
            "description": f"Look up a row of {table} by its {key}.",
            "parameters": {"type": "object", "properties": {key: {"type": kind}},
                           "required": [key]},
            "returns": f"SELECT * FROM {table} WHERE {key} = :{key}",
        })  # fmt: skip
    if not entries:
        return None
    without = f"# No tool for {', '.join(map(repr, left_out))}: {WHY}.\n" if left_out else ""
    return f"{HEAD}{without}{yaml.safe_dump(entries, sort_keys=False)}{CHANGE}"
