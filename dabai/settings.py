"""Django settings. Everything that differs between installations comes from the environment, set by ``dabai serve``."""

import os
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

BASE = Path(__file__).resolve().parent


def database_from_url(url: str) -> dict[str, object]:
    """Turn ``postgresql://user:password@host:port/name?host=/socket/folder`` into Django's form."""
    parts = urlsplit(url)
    options = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or options.pop("user", "")),
        "PASSWORD": unquote(parts.password or options.pop("password", "")),
        "HOST": options.pop("host", "") or parts.hostname or "",
        "PORT": options.pop("port", "") or str(parts.port or ""),
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql:///dabai")
DATABASES = {"default": database_from_url(DATABASE_URL)}
DATA_FOLDER = Path(os.environ.get("DABAI_DATA", BASE.parent / ".data"))

SECRET_FILE = DATA_FOLDER / "keys" / "django.key"
SECRET_KEY = os.environ.get("DABAI_SECRET_KEY") or (
    SECRET_FILE.read_text().strip() if SECRET_FILE.is_file() else "only-for-commands-that-sign-nothing"
)
DEBUG = False
ALLOWED_HOSTS = os.environ.get("DABAI_HOSTS", "127.0.0.1,localhost,[::1]").split(",")
SECURE = os.environ.get("DABAI_HTTPS") == "1"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "procrastinate.contrib.django",
    "dabai.kernel",
    "dabai.access",
    "dabai.journal",
    "dabai.places",
    "dabai.people",
    "dabai.protocols",
    "dabai.testing",
    "dabai.figures",
    "dabai.api",
    "dabai.desk",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
# What concerns requests of phones (dabai.wsgi): they have no session and see no page.
DEVICE_MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
ROOT_URLCONF = "dabai.urls"
WSGI_APPLICATION = "dabai.wsgi.application"
AUTH_USER_MODEL = "access.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "string_if_invalid": "",
        },
    }
]

# The business zone cuts days; the product speaks Chinese first (dabai.kernel.words holds every text).
TIME_ZONE = os.environ.get("DABAI_ZONE", "Asia/Shanghai")
USE_TZ = True
USE_I18N = False
LANGUAGE_CODE = "zh-hans"

STATIC_URL = "/static/"
STATICFILES_DIRS: list[str] = []
# Straight from the packages: no collecting step. Addresses carry a digest of the content, so a browser may keep them.
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 7 * 24 * 3600
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
AUTHENTICATION_BACKENDS = ["dabai.access.login.Backend"]
# Roles that must show a second factor (six digits of an authenticator app): "administrator,commander".
SECOND_FACTOR_ROLES = [role for role in os.environ.get("DABAI_SECOND_FACTOR", "").split(",") if role]
SECOND_FACTOR_URL = "/second-factor/"

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = SECURE
CSRF_COOKIE_SECURE = SECURE
CSRF_FAILURE_VIEW = "dabai.desk.shell.csrf_failed"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 2**20
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000
FILE_UPLOAD_MAX_MEMORY_SIZE = 2**20

# The field app as `make setup` builds it.
FIELD_APP = Path(os.environ.get("DABAI_FIELD_APP", BASE.parent / "field" / "dist"))

# SM4 instead of AES-256 where a crypto assessment (密评) asks for it: sm4-gcm.
CIPHER = os.environ.get("DABAI_CIPHER", "aes-256-gcm")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"django.request": {"level": "ERROR"}, "procrastinate": {"level": "WARNING"}},
}
