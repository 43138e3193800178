"""Each reported fact once, for ever: receipts, what was refused, marks for the worker, derived attention cases."""

from django.db import models
from django.db.models import CompositePrimaryKey


class Verdict(models.IntegerChoices):
    """What a receipt says. It never changes."""

    ACCEPTED = 1
    REFUSED = 2


class EntryFlag(models.IntegerChoices):
    """What intake knew when it accepted a fact; bits of ``Entry.flags``."""

    REVOKED_DEVICE = 1
    IMPLAUSIBLE_CLOCK = 2
    ROUND_CLOSED = 4
    ACTOR_UNKNOWN = 8


class Entry(models.Model):
    """The journal row: slim, insert-only. ``seq`` follows commit order (``dabai.journal.intake``)."""

    pk = CompositePrimaryKey("district", "id")
    district = models.IntegerField()
    id = models.UUIDField()
    seq = models.BigIntegerField()
    operation = models.IntegerField()
    kind = models.SmallIntegerField(help_text="Number of the kind of fact (dabai.registry).")
    verdict = models.SmallIntegerField(choices=Verdict.choices)
    flags = models.SmallIntegerField(default=0)
    digest = models.BinaryField(help_text="First 16 bytes of SHA-256 over the canonical fact.")
    device = models.UUIDField(null=True)
    device_seq = models.BigIntegerField(null=True)
    actor = models.IntegerField(null=True)
    site = models.IntegerField(null=True)
    area = models.CharField(max_length=14)
    happened_at = models.DateTimeField(help_text="Corrected by the device's measured skew.")
    received_at = models.DateTimeField()

    class Meta:
        db_table = "journal_entry"
        managed = True
        indexes = [models.Index(fields=["district", "seq"], name="entry_seq")]


class KeptState(models.TextChoices):
    """What became of a refused fact in the inbox."""

    OPEN = "open"
    ATTACHED = "attached"
    DISMISSED = "dismissed"


class Kept(models.Model):
    """The body of a refused fact, encrypted, and what a desk did with it. Nothing sent is lost."""

    pk = CompositePrimaryKey("district", "id")
    district = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    kind = models.CharField(max_length=60)
    code = models.CharField(max_length=60)
    field = models.CharField(max_length=80, blank=True)
    area = models.CharField(max_length=14)
    key = models.SmallIntegerField()
    body_enc = models.BinaryField()
    received_at = models.DateTimeField()
    state = models.CharField(max_length=10, choices=KeptState.choices, default=KeptState.OPEN)
    settled_by = models.IntegerField(null=True)
    settled_at = models.DateTimeField(null=True)
    settled_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        db_table = "journal_kept"
        indexes = [models.Index(fields=["district", "operation", "state", "received_at"], name="kept_open")]


class Withdrawal(models.Model):
    """The typed row of ``journal.fact_withdrawn`` and of ``people.unmerged``: its target is no longer in force.

    It may come before what it speaks of. A withdrawal is final: report the thing again instead of withdrawing it.
    """

    pk = CompositePrimaryKey("district", "id")
    district = models.IntegerField()
    id = models.UUIDField()
    target = models.UUIDField()
    reason = models.CharField(max_length=200)
    happened_at = models.DateTimeField()

    class Meta:
        db_table = "journal_withdrawal"
        indexes = [models.Index(fields=["district", "target"], name="withdrawal_target")]


class MarkKind(models.IntegerChoices):
    """What a mark names. ``RESULT`` is a tube of which only the result may have changed: its people stay as they are.
    ``READING`` is the fact of a reading that has come, or of which something was decided: nothing else has changed.

    The cells are left by the worker's first stage for its second: ``round/area`` and ``round/site`` to recompute.
    """

    TUBE = 1
    PERSON = 2
    FACT = 3
    BOX = 4
    SITE = 5
    RESULT = 6
    AREA_CELL = 7
    SITE_CELL = 8
    READING = 9


CELL_MARKS = (MarkKind.AREA_CELL.value, MarkKind.SITE_CELL.value)


class Mark(models.Model):
    """Something that the worker must look at again. Insert-only for intake; the worker deletes first, then
    recomputes.
    """

    pk = CompositePrimaryKey("district", "id")
    district = models.IntegerField()
    id = models.BigIntegerField()
    operation = models.IntegerField()
    kind = models.SmallIntegerField(choices=MarkKind.choices)
    key = models.TextField()

    class Meta:
        db_table = "journal_mark"


class Attention(models.Model):
    """A derived case for the desk's inbox: waiting, contradicting or flagged facts. A function of the set of facts.

    ``facts`` are those it rests on; it is settled when a settlement names all of them, and reopens when another comes.
    """

    pk = CompositePrimaryKey("district", "operation", "code", "subject")
    district = models.IntegerField()
    operation = models.IntegerField()
    code = models.CharField(max_length=40)
    subject = models.CharField(max_length=60)
    facts = models.JSONField(default=list)
    detail = models.JSONField(default=dict)
    area = models.CharField(max_length=14)
    site = models.IntegerField(null=True)
    round = models.IntegerField(null=True)
    happened_at = models.DateTimeField()
    state = models.CharField(max_length=10, default="open")
    seq = models.BigIntegerField(default=0)

    class Meta:
        db_table = "journal_attention"
        indexes = [models.Index(fields=["district", "operation", "state", "code"], name="attention_open")]


class Settlement(models.Model):
    """The typed row of ``journal.attention_settled``: a desk has looked at a case, resting on these facts."""

    pk = CompositePrimaryKey("district", "id")
    district = models.IntegerField()
    id = models.UUIDField()
    operation = models.IntegerField()
    code = models.CharField(max_length=40)
    subject = models.CharField(max_length=60)
    facts = models.JSONField(default=list)
    reason = models.CharField(max_length=200)
    actor = models.IntegerField(null=True)
    happened_at = models.DateTimeField()

    class Meta:
        db_table = "journal_settlement"
        indexes = [models.Index(fields=["district", "operation", "code", "subject"], name="settlement_subject")]
