# The devnet in a container: docker build -t hftnode . && docker run --rm -p 8545:8545 hftnode
# Linted by scripts/check; docs/index.md says what was tried of it and what was not.
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
WORKDIR /src
COPY requirements/ requirements/
RUN python -m venv /opt/build \
    && /opt/build/bin/python -m pip install --quiet --require-hashes -r requirements/bootstrap.txt \
    && /opt/build/bin/uv venv --quiet /opt/hftnode \
    && /opt/build/bin/uv pip sync --quiet --python /opt/hftnode/bin/python --require-hashes \
        requirements/node.txt requirements/nodejs.txt \
    && /opt/build/bin/uv pip install --quiet --python /opt/build/bin/python --require-hashes -r requirements/dev.txt
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY protocol/ protocol/
COPY governance/ governance/
COPY node/ node/
COPY devnet/ devnet/
RUN /opt/build/bin/python -m hatchling build --target wheel --directory /dist \
    && /opt/build/bin/uv pip install --quiet --python /opt/hftnode/bin/python --no-deps /dist/*.whl

FROM python:3.11.14-slim-bookworm
RUN useradd --create-home --uid 10001 --user-group hftnode && install -d -o hftnode -g hftnode /var/lib/hftnode
COPY --from=build /opt/hftnode /opt/hftnode
ENV PATH=/opt/hftnode/bin:$PATH HFTNODE_HOME=/var/lib/hftnode PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/hftnode
VOLUME /var/lib/hftnode
EXPOSE 8545
STOPSIGNAL SIGTERM
# Fails while no devnet answers: the first start fetches npm packages and deploys, hence the long start period.
HEALTHCHECK --interval=10s --timeout=5s --start-period=180s --retries=3 CMD ["hftnode", "devnet", "status", "--json"]
ENTRYPOINT ["hftnode"]
CMD ["devnet", "up", "--host", "0.0.0.0"]
