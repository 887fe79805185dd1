-- Keep `linked_claims` what `claims` say, whoever changes these: a gateway of an earlier version, too. Claims without a link
-- cost nothing more than the conditions.
CREATE OR REPLACE FUNCTION :schema.linked() RETURNS trigger LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND OLD.link IS NOT NULL THEN
        DELETE FROM :schema.linked_claims WHERE link = OLD.link AND fingerprint = OLD.fingerprint;
    END IF;
    IF TG_OP <> 'DELETE' AND NEW.link IS NOT NULL THEN
        INSERT INTO :schema.linked_claims (link, fingerprint) VALUES (NEW.link, NEW.fingerprint)
        ON CONFLICT (link, fingerprint) DO NOTHING;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER link_added AFTER INSERT ON :schema.claims
FOR EACH ROW WHEN (NEW.link IS NOT NULL) EXECUTE FUNCTION :schema.linked();

CREATE OR REPLACE TRIGGER link_changed AFTER UPDATE OF link ON :schema.claims
FOR EACH ROW WHEN (OLD.link IS DISTINCT FROM NEW.link) EXECUTE FUNCTION :schema.linked();

CREATE OR REPLACE TRIGGER link_gone AFTER DELETE ON :schema.claims
FOR EACH ROW WHEN (OLD.link IS NOT NULL) EXECUTE FUNCTION :schema.linked()
