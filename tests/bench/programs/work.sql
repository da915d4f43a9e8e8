-- SPDX-License-Identifier: BSD-2-Clause
--
-- Tables, indexes, joins, groups, strings, JSON, in memory. ROWS is put in by the suite.
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, kind INTEGER, price REAL, note TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ROWS)
    INSERT INTO item
    SELECT i, 'name ' || (i * 7919 % 200017), i % 97, i / 7.0, printf('%0*d', 20 + i % 60, i)
    FROM n;
CREATE INDEX item_name ON item(name);
CREATE INDEX item_kind ON item(kind, price);
SELECT count(*), sum(price), max(name), min(note) FROM item;
SELECT kind, count(*), avg(price), max(length(note)) FROM item GROUP BY kind ORDER BY kind;
SELECT a.id, b.name FROM item a JOIN item b ON a.name = b.name AND a.id < b.id
    ORDER BY b.name, a.id LIMIT 20;
UPDATE item SET note = note || upper(name) WHERE id % 3 = 0;
DELETE FROM item WHERE id % 7 = 0;
SELECT length(group_concat(note, ';')) FROM item WHERE kind < 40;
SELECT sum(length(json_object('id', id, 'name', name, 'list', json_array(kind, price)))) FROM item;
SELECT name, substr(note, 1, 12) FROM item ORDER BY note DESC, id LIMIT 30;
EXPLAIN QUERY PLAN SELECT * FROM item WHERE kind = 3 AND price > 10;
