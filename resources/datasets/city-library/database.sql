-- Amounts are in cents; loans are counted in days, bookings in hours.
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE cards (
  id TEXT PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers (id),
  status TEXT NOT NULL CHECK (status IN ('valid', 'blocked')),
  overdue_days INTEGER NOT NULL,
  borrowed_ago INTEGER NOT NULL,
  fee INTEGER NOT NULL
);
CREATE TABLE loans (
  card_id TEXT NOT NULL REFERENCES cards (id),
  title TEXT NOT NULL,
  price INTEGER NOT NULL,
  due_in INTEGER NOT NULL,
  renewals INTEGER NOT NULL,
  awaited INTEGER NOT NULL
);
CREATE TABLE bookings (
  card_id TEXT NOT NULL REFERENCES cards (id),
  room TEXT NOT NULL,
  starts_in INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('booked', 'begun', 'cancelled')),
  fee INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE payments (card_id TEXT NOT NULL REFERENCES cards (id), kind TEXT NOT NULL, amount INTEGER NOT NULL);
CREATE TABLE reservations (card_id TEXT NOT NULL REFERENCES cards (id), title TEXT NOT NULL);
CREATE TABLE handovers (card_id TEXT NOT NULL, topic TEXT NOT NULL);
-- The handbook's figures, which the tools' guards hold to whatever a message or a page claims.
CREATE TABLE policy (
  page TEXT PRIMARY KEY,
  days INTEGER,
  percent INTEGER,
  times INTEGER,
  amount INTEGER,
  hours INTEGER,
  opens INTEGER,
  closes INTEGER
);
