# The gateway in an image of its own. Nothing in it needs a shell at run time; docs/operations.md says how to run it.
#
#   docker build -t idempotency-gateway .

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# What the gateway stands on: wheels only, each held against the hash in the lock file. The environment has no pip.
COPY requirements.lock ./
RUN python -m venv --without-pip /opt/gateway \
    && python -m pip --python /opt/gateway/bin/python install \
        --require-hashes --only-binary :all: -r requirements.lock

# What builds the gateway's own wheel, from the lock file that make uses; none of it reaches the next stage.
COPY requirements-dev.lock ./
RUN python -m venv --without-pip /opt/tools \
    && python -m pip --python /opt/tools/bin/python install \
        --require-hashes --only-binary :all: -r requirements-dev.lock
COPY pyproject.toml README.md LICENSE ./
COPY gateway ./gateway
RUN /opt/tools/bin/hatchling build --target wheel --directory dist \
    && python -m pip --python /opt/gateway/bin/python install --no-deps --no-index dist/*.whl

FROM python:3.13-slim
RUN groupadd --gid 10001 gateway \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home \
        --home-dir /var/lib/gateway --shell /usr/sbin/nologin gateway \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/gateway \
    && install -d -m 0755 /etc/gateway
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH

# By number, so that a cluster can see that it is not root.
USER 10001:10001
# A relative store, such as the default sqlite:gateway.db, lands in the volume.
WORKDIR /var/lib/gateway
VOLUME /var/lib/gateway
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["/opt/gateway/bin/gateway", "health", "-c", "/etc/gateway/gateway.toml"]
ENTRYPOINT ["/opt/gateway/bin/gateway"]
CMD ["run", "-c", "/etc/gateway/gateway.toml"]
