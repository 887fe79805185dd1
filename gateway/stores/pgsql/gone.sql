-- Take note of claims that are deleted, whoever does it: a gateway of an earlier version, too.
CREATE OR REPLACE FUNCTION :schema.gone() RETURNS trigger LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM :schema.note(
        array_agg(fingerprint), array_agg(rule), array_agg(first_seen), array_agg(state), array_agg(1::smallint)
    )
    FROM deleted
    WHERE state > 1
    HAVING count(*) > 0;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER gone AFTER DELETE ON :schema.claims REFERENCING OLD TABLE AS deleted
FOR EACH STATEMENT EXECUTE FUNCTION :schema.gone()
