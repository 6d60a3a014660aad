"""Settings: embedded defaults for one machine, everything else by environment variable."""

from pathlib import Path

from config import env

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.text("SLIDEPAIR_DATA") or BASE_DIR / "var").resolve()

DEBUG = env.flag("SLIDEPAIR_DEBUG", False)
SECRET_FILE = DATA_DIR / "secret_key"
SECRET_KEY = env.secret("SLIDEPAIR_SECRET_KEY", SECRET_FILE)
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", *env.items("SLIDEPAIR_HOSTS")]
CSRF_TRUSTED_ORIGINS = env.items("SLIDEPAIR_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_rq",
    "rest_framework",
    "rest_framework.authtoken",
    "drf_spectacular",
    "viewer.apps.ViewerConfig",
    "registration.apps.RegistrationConfig",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "config.middleware.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {"default": env.database("DATABASE_URL", DATA_DIR / "slidepair.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [
    BASE_DIR / "static",
    ("vendor/openseadragon", BASE_DIR / "node_modules/openseadragon/build/openseadragon"),
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True  # files are served from where they lie; nothing is collected

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",  # first: no credentials is 401, not 403
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.parsers.BoundedJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 100,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.negotiation.OneFormat",
    "EXCEPTION_HANDLER": "config.api_errors.handle",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "SlidePair",
    "DESCRIPTION": "Two slides of the same tissue, registered at level 0. All coordinates are level-0 px.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.IsAuthenticated"],
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "config.openapi.add_errors",
    ],
    "ENUM_NAME_OVERRIDES": {
        "JobStatusEnum": "registration.models.JobStatus",
        "FrameEnum": "registration.models.Frame",
        "ReviewEnum": "registration.models.Review",
        "SectionsEnum": "viewer.models.Sections",
    },
}

# Jobs. The database row is the truth, Redis is the bell (docs/adr).
REDIS_SOCKET = DATA_DIR / "run" / "redis.sock"
REDIS_URL = env.text("REDIS_URL") or f"unix://{REDIS_SOCKET}"
JOB_TIMEOUT_SECONDS = env.integer("SLIDEPAIR_JOB_TIMEOUT", 3600, minimum=60)
JOB_MAX_ATTEMPTS = 3
JOB_STALE_SECONDS = env.integer("SLIDEPAIR_JOB_STALE", 20, minimum=2)
QUEUE_NAMES = ("alignment", "registration", "export")
RQ_QUEUES = {name: {"URL": REDIS_URL, "DEFAULT_TIMEOUT": JOB_TIMEOUT_SECONDS} for name in QUEUE_NAMES}
RQ = {"COMMIT_MODE": "on_db_commit"}
WORKERS = env.integer("SLIDEPAIR_WORKERS", 2, minimum=1)  # started by `manage.py up`
JOB_THREADS = env.integer("SLIDEPAIR_JOB_THREADS", 2, minimum=1)  # OpenCV's, in each worker

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "registration": {"level": "INFO"},
        "rq.worker": {"level": "WARNING"},
        "viewer": {"level": "INFO"},
    },
}

# Folders that users may take slides from by path; empty: only the command line adds slides.
SLIDE_ROOTS = env.folders("SLIDEPAIR_SLIDE_ROOTS")
SECURE_CONTENT_TYPE_NOSNIFF = True
SESSION_ENGINE = "config.sessions"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.flag("SLIDEPAIR_HTTPS", False)
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
