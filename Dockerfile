# The gateway alone; the database is a service of its own.
FROM python:3.11-slim AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/gateway \
    && /opt/gateway/bin/pip install --no-cache-dir -c .constraints.txt .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/gateway gateway
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GATEWAY_HOST=0.0.0.0 \
    GATEWAY_LOG_FORMAT=json \
    GATEWAY_DATA_DIR=/var/lib/gateway/data
USER gateway
WORKDIR /var/lib/gateway
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
CMD ["gateway", "serve"]
