// The elements of the chat page. They get text, never HTML, because customers, articles and models
// wrote the text.

// Marks that turn the direction of text, and control characters, become escapes.
const UNSAFE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;
export const visible = (text) => String(text).replace(UNSAFE,
  (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`);

export const make = (tag, text, cls) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = visible(text);
  if (cls) element.className = cls;
  return element;
};
// A text that somebody wrote, in its own direction.
export const written = (tag, text, cls = "text") => {
  const element = make(tag, text, cls);
  element.dir = "auto";
  return element;
};
export const plain = (name) => name.replaceAll("_", " ");
export const pairs = (row) => Object.entries(row).map(([name, value]) => `${plain(name)} ${value}`).join(", ");
export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

const fact = (list, name, value) => {
  list.append(make("dt", name), value);
};
const coded = (text) => {
  const value = make("dd");
  value.append(make("code", text));
  return value;
};

const passage = ({ source, text }) => {
  const part = make("details", undefined, "passage");
  part.append(make("summary", `Passage of ${source}`), written("p", text));
  return part;
};

export const step = (found) => {
  const item = make("li"), facts = make("dl");
  if (found.by === "rule") fact(facts, "Written by", make("dd", "a rule of the tools"));
  if (found.thought) fact(facts, "Thought", written("dd", found.thought));
  if (found.call) fact(facts, "Call", coded(`${found.call} ${JSON.stringify(found.arguments)}`));
  if (found.result !== null) fact(facts, "Result", coded(found.result));
  if (found.error) fact(facts, found.call ? "Refused" : "Not readable", written("dd", found.error));
  item.append(facts, ...found.passages.map(passage));
  return item;
};

const row = (table, values, before, after) => {
  const item = make("li", `${plain(table)}${before ? "" : ", new"}${after ? "" : ", removed"}: `);
  Object.entries(values).forEach(([name, value], place) => {
    item.append(`${place ? ", " : ""}${visible(plain(name))} `);
    if (!before || !after || before[name] === value) item.append(visible(value));
    else {
      item.append(make("del", before[name]), make("span", " is now", "unseen"), " ", make("ins", value));
    }
  });
  return item;
};

// An updated row is one that was removed and one that was added; most of their values are the same.
const rows = (table, { removed, added }) => {
  const old = [...removed];
  const same = (one, other) => Object.keys(one).filter((name) => one[name] === other[name]).length;
  const shown = added.map((after) => {
    const before = old.toSorted((one, other) => same(other, after) - same(one, after))[0];
    if (!before || 2 * same(before, after) < Object.keys(after).length) return row(table, after, null, after);
    old.splice(old.indexOf(before), 1);
    return row(table, after, before, after);
  });
  return [...shown, ...old.map((before) => row(table, before, before, null))];
};

export const changes = (found) => {
  const part = make("details", undefined, "changes"), list = make("ul");
  list.append(...Object.entries(found).flatMap(([table, change]) => rows(table, change)));
  part.append(make("summary", `Changes in the database: ${plural(list.children.length, "row")}`), list);
  part.open = list.children.length <= 5;
  return part;
};
