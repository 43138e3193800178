"""At most one proposed issue at a time, and a published one never changes: the database itself refuses."""

from django.db import migrations, models

FORWARD = """
CREATE FUNCTION figures_bulletin_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a published issue never changes' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER figures_bulletin_frozen BEFORE UPDATE OR DELETE ON figures_bulletin
    FOR EACH ROW WHEN (OLD.state = 'published') EXECUTE FUNCTION figures_bulletin_frozen();
"""
BACKWARD = """
DROP TRIGGER figures_bulletin_frozen ON figures_bulletin;
DROP FUNCTION figures_bulletin_frozen();
"""


class Migration(migrations.Migration):
    dependencies = [("figures", "0002_people_on_no_roster_boxes_and_freshness")]
    operations = [
        migrations.AddConstraint(
            model_name="bulletin",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "proposed")),
                fields=("operation", "round"),
                name="bulletin_one_proposed",
                nulls_distinct=False,
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
