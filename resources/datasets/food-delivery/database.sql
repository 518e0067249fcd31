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
