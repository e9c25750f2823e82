# syntax=docker/dockerfile:1
# The gateway, and with other arguments every other command of `preclear`, in one small image.
#
#   docker build --tag preclear .
#   docker run --rm preclear mapping list
#
# The mappings of this source tree are built into the program; mount a folder and set [mappings] dir for others.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /source
# aws-lc, SQLite and mimalloc are C, compiled by the gcc of this image; nothing else is needed.
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --locked --profile dist --bin preclear \
    && install -D target/dist/preclear /out/preclear

FROM debian:bookworm-slim
# Public roots are for the posts' webhook targets; brokers are checked against their own CA files.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 preclear \
    && useradd --system --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin preclear \
    # Volumes mounted here for the first time take over these owners and modes.
    && install --directory --owner 10001 --group 10001 --mode 0700 /data /certs \
    && install --directory --owner 10001 --group 10001 --mode 0755 /token
COPY --from=build /out/preclear /usr/local/bin/preclear
COPY LICENSE /usr/share/doc/preclear/LICENSE
USER 10001:10001
WORKDIR /data
# intake, callbacks, ops
EXPOSE 8080 8443 9090
STOPSIGNAL SIGTERM
ENTRYPOINT ["preclear"]
CMD ["--help"]
