"""Links over the rows of the audit log. Like them they can be added and read, and nothing else."""

from django.db import migrations, models

FORWARD = """
CREATE TRIGGER access_audit_link_keep BEFORE UPDATE OR DELETE ON access_audit_link
FOR EACH ROW EXECUTE FUNCTION access_audit_keep();
"""
BACKWARD = "DROP TRIGGER access_audit_link_keep ON access_audit_link"


class Migration(migrations.Migration):
    dependencies = [("access", "0005_sealing_and_sign_on")]
    operations = [
        migrations.CreateModel(
            name="AuditLink",
            fields=[
                ("number", models.BigIntegerField(primary_key=True, serialize=False)),
                ("entry", models.BigIntegerField(unique=True)),
                ("mac", models.BinaryField(help_text="HMAC-SHA256 over the link before and the entry.")),
            ],
            options={"db_table": "access_audit_link"},
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
