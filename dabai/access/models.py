"""Who may do what where: people who log in, their assignments, paired devices and their scope, keys, the audit log."""

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models


class UserManager(BaseUserManager["User"]):
    """Makes users; nothing else."""

    def get_by_natural_key(self, username: str | None) -> "User":
        """Log-in names are case-insensitive on the way in and stored lower-case."""
        return self.get(username=(username or "").lower())


class User(AbstractBaseUser):
    """A person who logs in or signs on to a device. What they may do comes from assignments only: no superuser."""

    username = models.CharField(max_length=40, unique=True)
    display_name = models.CharField(max_length=60)
    organisation = models.CharField(max_length=80, blank=True)
    is_active = models.BooleanField(default=True)
    drill_only = models.BooleanField(default=False, help_text="A demo log-in; exists only in drill databases.")
    pin_hash = models.CharField(max_length=160, blank=True, help_text="Verifier of the short PIN for signing on.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = UserManager()
    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: list[str] = []

    class Meta:
        db_table = "access_user"


class Assignment(models.Model):
    """A role in an area for a time. ``operation`` empty: in every operation of the district."""

    user = models.ForeignKey(User, models.PROTECT, related_name="assignments")
    role = models.CharField(max_length=24)
    area = models.CharField(max_length=14, help_text="Area code prefix.")
    operation = models.IntegerField(null=True)
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True)
    granted_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")

    class Meta:
        db_table = "access_assignment"
        indexes = [models.Index(fields=["user"], name="assignment_user")]


class OneTimeLink(models.Model):
    """A link that works once: the first administrator, a new account, a forgotten password. Only its hash is kept."""

    token_hash = models.BinaryField(unique=True)
    user = models.ForeignKey(User, models.CASCADE, null=True)
    purpose = models.CharField(max_length=16)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "access_one_time_link"


class ApiToken(models.Model):
    """A desk user's own scripts log in with it. Only its hash is kept; it can do what its user can until it expires."""

    user = models.ForeignKey(User, models.CASCADE, related_name="api_tokens")
    token_hash = models.BinaryField(unique=True)
    made_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "access_api_token"
        indexes = [models.Index(fields=["user"], name="api_token_user")]


class Device(models.Model):
    """A phone, a laboratory's computer or a reader that posts facts. A revoked one may still post, and nothing else."""

    id = models.UUIDField(primary_key=True)
    district = models.IntegerField()
    operation = models.IntegerField()
    name = models.CharField(max_length=60)
    kind = models.CharField(max_length=16, default="phone")
    token_hash = models.BinaryField(unique=True)
    holder = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    paired_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True)
    lost_at = models.DateTimeField(null=True)
    last_contact = models.DateTimeField(null=True)
    app_version = models.CharField(max_length=40, blank=True)
    highest_seq = models.BigIntegerField(default=0, help_text="Highest device_seq that the phone has reported.")
    unsent = models.IntegerField(default=0)
    skew_ms = models.BigIntegerField(default=0, help_text="Server clock minus device clock, as last measured.")

    class Meta:
        db_table = "access_device"


class DeviceScope(models.Model):
    """Where a device may report: a site or an area prefix, for a time, so that late facts are judged rightly."""

    device = models.ForeignKey(Device, models.CASCADE, related_name="scopes")
    site = models.IntegerField(null=True)
    area = models.CharField(max_length=14, blank=True)
    valid_from = models.DateTimeField()
    valid_to = models.DateTimeField(null=True)

    class Meta:
        db_table = "access_device_scope"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(site__isnull=False, area="") | (models.Q(site__isnull=True) & ~models.Q(area="")),
                name="device_scope_site_or_area",
            )
        ]


class PairingCode(models.Model):
    """A one-time code that turns a phone into a device with a scope. Only its hash is kept."""

    code_hash = models.BinaryField(unique=True)
    district = models.IntegerField()
    operation = models.IntegerField()
    name = models.CharField(max_length=60)
    kind = models.CharField(max_length=16, default="phone")
    site = models.IntegerField(null=True)
    area = models.CharField(max_length=14, blank=True)
    holder = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    made_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    device = models.UUIDField(null=True, help_text="The device that it became.")

    class Meta:
        db_table = "access_pairing_code"


class DataKey(models.Model):
    """One data key and its index root for one operation, wrapped by the installation's master key.

    Destroying the wrapped bytes destroys what they open, backups of the tables included (*sunset*).
    """

    operation = models.IntegerField()
    number = models.SmallIntegerField()
    cipher = models.CharField(max_length=16)
    wrapped = models.BinaryField(null=True)
    wrapped_index = models.BinaryField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True)
    destroyed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "access_data_key"
        constraints = [models.UniqueConstraint(fields=["operation", "number"], name="data_key_number")]


class SealingKey(models.Model):
    """A P-256 key pair of one operation: phones seal their outbox to the public point, the newest by its number.

    The private key is wrapped by the master key like a data key, and is destroyed with the operation's data keys.
    """

    operation = models.IntegerField()
    number = models.SmallIntegerField()
    public = models.BinaryField(help_text="Raw uncompressed point, 65 bytes.")
    wrapped_private = models.BinaryField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True)
    destroyed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "access_sealing_key"
        constraints = [models.UniqueConstraint(fields=["operation", "number"], name="sealing_key_number")]


class DeviceSecret(models.Model):
    """The random secret under whose keys a device seals what it shows; ``id`` is the device's.

    Made at the first sign-on, deleted when the device is revoked or lost: its cache then opens for nobody who must ask.
    """

    id = models.UUIDField(primary_key=True)
    operation = models.IntegerField()
    key = models.SmallIntegerField()
    secret_enc = models.BinaryField(help_text="Base64 of 32 bytes, sealed.")

    class Meta:
        db_table = "access_device_secret"
        indexes = [models.Index(fields=["operation", "key"], name="device_secret_key")]


class SignOnFailure(models.Model):
    """How often a PIN was wrong lately, for a device or for a login; every web process counts here."""

    subject = models.CharField(max_length=80, primary_key=True, help_text="device/<id>, or login/ and a digest.")
    since = models.DateTimeField(db_index=True, help_text="The first of these failures, by the machine's clock.")
    count = models.SmallIntegerField()

    class Meta:
        db_table = "access_sign_on_failure"


class AuditEntry(models.Model):
    """Who did or saw what, when and why. Holds ids and reasons, never personal data; rows are never changed."""

    at = models.DateTimeField()
    actor = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    device = models.UUIDField(null=True)
    operation = models.IntegerField(null=True)
    action = models.CharField(max_length=40)
    subject = models.CharField(max_length=80, blank=True)
    area = models.CharField(max_length=14, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        db_table = "access_audit"
        indexes = [
            models.Index(fields=["subject", "at"], name="audit_subject"),
            models.Index(fields=["actor", "at"], name="audit_actor"),
        ]


class AuditLink(models.Model):
    """A link of the chain over the audit log (``dabai.access.chain``); rows are never changed either."""

    number = models.BigIntegerField(primary_key=True)
    entry = models.BigIntegerField(unique=True)
    mac = models.BinaryField(help_text="HMAC-SHA256 over the link before and the entry.")

    class Meta:
        db_table = "access_audit_link"
