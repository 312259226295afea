ARG PYTHON=3.12

# ---- build: dependencies from the hashed lock, and Remediator itself, into one virtual environment
FROM python:${PYTHON}-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore

WORKDIR /src

# The dependencies change less often than the code: their layer comes first and is kept.
COPY deploy/locks deploy/locks
RUN python -m venv --without-pip /opt/remediator \
 && python -m pip --python /opt/remediator/bin/python install \
        --require-hashes --only-binary :all: --requirement deploy/locks/runtime.txt \
 && python -m pip install --require-hashes --only-binary :all: --requirement deploy/locks/build.txt

COPY . .
RUN python -m pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheels . \
 && python -m pip --python /opt/remediator/bin/python install --no-deps --no-index /wheels/*.whl \
 && /opt/remediator/bin/remediator --version

# ---- the image: no compiler, no pip in the environment, no root; runs with a read-only root file system
FROM python:${PYTHON}-slim-bookworm

LABEL org.opencontainers.image.title="Remediator" \
      org.opencontainers.image.licenses="Apache-2.0"

RUN groupadd --gid 65532 remediator \
 && useradd --uid 65532 --gid 65532 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin remediator \
 && install --directory --owner 65532 --group 65532 --mode 0750 /var/lib/remediator

COPY --from=build /opt/remediator /opt/remediator
COPY rules /etc/remediator/rules

# Listening beyond loopback refuses to start without tokens: so does this image.
ENV PATH=/opt/remediator/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    REMEDIATOR_LISTEN=0.0.0.0:9095 \
    REMEDIATOR_RULES=/etc/remediator/rules \
    REMEDIATOR_STORE=sqlite:////var/lib/remediator/remediator.db

# By number, so that Kubernetes' runAsNonRoot can tell.
USER 65532:65532
WORKDIR /var/lib/remediator
VOLUME /var/lib/remediator
EXPOSE 9095

ENTRYPOINT ["remediator"]
CMD ["serve"]
