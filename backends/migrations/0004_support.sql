-- The schema that a program must at least know to work here. A migration that only adds (expand) leaves it as it is:
-- programs of before go on, and may be started. One that takes away (contract) raises it.
CREATE TABLE schema_support (oldest BIGINT NOT NULL);
INSERT INTO schema_support (oldest) VALUES (4);
