-- Amounts are in cents; ages and delays in minutes.
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE orders (
  id TEXT PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers (id),
  status TEXT NOT NULL CHECK (status IN ('preparing', 'on the way', 'delivered', 'cancelled')),
  address TEXT NOT NULL,
  total INTEGER NOT NULL,
  placed_ago INTEGER NOT NULL,
  late_minutes INTEGER NOT NULL,
  delivered_ago INTEGER NOT NULL,
  eta INTEGER NOT NULL,
  fee_percent INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE items (order_id TEXT NOT NULL REFERENCES orders (id), dish TEXT NOT NULL, price INTEGER NOT NULL);
CREATE TABLE payments (order_id TEXT NOT NULL REFERENCES orders (id), kind TEXT NOT NULL, amount INTEGER NOT NULL);
CREATE TABLE redeliveries (order_id TEXT NOT NULL REFERENCES orders (id), dish TEXT NOT NULL);
CREATE TABLE handovers (order_id TEXT NOT NULL, topic TEXT NOT NULL);
-- The handbook's figures, which the tools' guards hold to whatever a message or a page claims.
CREATE TABLE policy (page TEXT PRIMARY KEY, minutes INTEGER, percent INTEGER, amount INTEGER);
-- The pages whose rule holds for an order, and its percentage; page 'cancel': cancelling has a fee.
CREATE VIEW entitlements AS
SELECT orders.id AS order_id, policy.page, policy.percent
FROM orders JOIN policy ON CASE policy.page
  WHEN 'late' THEN orders.status <> 'cancelled' AND orders.late_minutes > policy.minutes
  WHEN 'lost' THEN orders.status = 'on the way' AND orders.late_minutes > policy.minutes
  WHEN 'wrong' THEN orders.status = 'delivered' AND orders.total <= policy.amount * 100
  WHEN 'cancel' THEN orders.placed_ago > policy.minutes
  ELSE orders.status = 'delivered' AND orders.delivered_ago <= policy.minutes
END;
