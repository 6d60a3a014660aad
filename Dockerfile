# SlidePair in one image; compose.yaml runs it as web, worker and reaper beside PostgreSQL and Redis.
# Alone, `docker run` starts everything in one container with the embedded SQLite and Valkey.
FROM python:3.11-slim-bookworm

WORKDIR /app
COPY scripts/setup scripts/setup
COPY requirements.lock requirements-node.lock package.json package-lock.json .npmrc ./
RUN scripts/setup

COPY manage.py ./
COPY config config
COPY viewer viewer
COPY registration registration
COPY templates templates
COPY static static

# The only folder that is written to. The user has no name and owns nothing in the image.
RUN install -d -m 1777 /data
ENV SLIDEPAIR_DATA=/data HOME=/data PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
VOLUME /data
USER 10001:10001

EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s \
  CMD [".venv/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://localhost:8000/health/')"]
CMD [".venv/bin/python", "manage.py", "up", "--host", "0.0.0.0", "--port", "8000", "--no-demo"]
