-- Fills the tables of schema.sql from data/; paths are relative to this folder (load.sh goes there).

\copy shop.customers FROM PROGRAM 'gzip -dc data/customers.csv.gz' WITH (FORMAT csv, HEADER)
\copy shop.orders FROM PROGRAM 'gzip -dc data/orders.csv.gz' WITH (FORMAT csv, HEADER)
\copy shop.payments FROM PROGRAM 'gzip -dc data/payments.csv.gz' WITH (FORMAT csv, HEADER)

INSERT INTO shop.order_drafts (customer_id, item, quantity, reason)
SELECT customer_id, item, quantity, 'ordered before, out of stock now'
  FROM shop.orders
 WHERE status = 'returned' AND id % 50 = 0
 ORDER BY id;

-- The files bring their own numbers; the next ones go on from there.
SELECT setval(pg_get_serial_sequence('shop.' || name, 'id'), last) AS last_id
  FROM (SELECT 'customers', max(id) FROM shop.customers
        UNION ALL SELECT 'orders', max(id) FROM shop.orders
        UNION ALL SELECT 'payments', max(id) FROM shop.payments) AS t (name, last);

ANALYZE shop.customers, shop.orders, shop.payments, shop.order_drafts;
