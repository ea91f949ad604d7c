# syntax=docker/dockerfile:1
# The stages are of one Debian release: trixie is Debian 13. The program needs a glibc at least as
# new as the one that it was linked with.
FROM docker.io/library/rust:1.95-slim-trixie AS build
WORKDIR /src
COPY . .
# Locked, since a build for two platforms at once would have one program for both.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked && cp target/release/vsecm-scout .

# A static program cannot resolve names with glibc; this image has the loader, glibc and libgcc, and
# no shell.
FROM gcr.io/distroless/cc-debian13:nonroot
LABEL org.opencontainers.image.title="vsecm-scout" \
      org.opencontainers.image.description="A read-only HTTPS door to Kubernetes Secrets for the External Secrets Operator" \
      org.opencontainers.image.licenses="BSD-2-Clause"
COPY --from=build /src/vsecm-scout /usr/local/bin/vsecm-scout
# A number, so that Kubernetes can see that it is not root.
USER 65532:65532
EXPOSE 8443 9090
ENTRYPOINT ["/usr/local/bin/vsecm-scout"]
