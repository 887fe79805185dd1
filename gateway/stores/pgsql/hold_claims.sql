-- Keep everybody from the table of claims, or give up at once: others wait behind this.
SET LOCAL lock_timeout = '50ms';
LOCK TABLE :schema.claims IN ACCESS EXCLUSIVE MODE
