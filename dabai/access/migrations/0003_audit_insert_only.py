"""Rows of the audit log can be added and read; the database itself refuses to change or delete one."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION access_audit_keep() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'rows of access_audit are never changed'; END $$;
CREATE TRIGGER access_audit_keep BEFORE UPDATE OR DELETE ON access_audit
FOR EACH ROW EXECUTE FUNCTION access_audit_keep();
"""
BACKWARD = """
DROP TRIGGER access_audit_keep ON access_audit;
DROP FUNCTION access_audit_keep();
"""


class Migration(migrations.Migration):
    dependencies = [("access", "0002_pairing_code_device")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
