# nightjar's image: one static program and examples, in the volume /shared, from which other containers of the task run it too
# (volumesFrom). It has no shell, and needs neither root nor a root file system that can be written. bin/image-test.sh tries it.

# The Go of go.mod's toolchain line: one commit gives the same bytes here and by bin/build.sh without Docker. BuildKit names the
# platform that builds, for builds of another one; the older builder doesn't.
# hadolint ignore=DL3029
FROM --platform=${BUILDPLATFORM:-linux/amd64} golang:1.26.8 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETARCH
# From bin/stamp.sh; without them the program only knows that it is no release.
ARG VERSION=devel
ARG COMMIT=unknown
ARG DATE=unknown
RUN arch=${TARGETARCH:-$(go env GOARCH)} \
    && BUILD_WITH=go bin/build.sh "$arch" \
    && mkdir -p /out/shared/bin \
    && mv "dist/nightjar-linux-$arch" /out/shared/bin/nightjar \
    && cp -r examples /out/shared/

FROM scratch
ARG VERSION=devel
ARG COMMIT=unknown
ARG DATE=unknown
LABEL org.opencontainers.image.title="nightjar" \
      org.opencontainers.image.description="An Envoy control plane for Amazon ECS" \
      org.opencontainers.image.source="https://github.com/groboclown/nightjar-mesh" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$COMMIT" \
      org.opencontainers.image.created="$DATE"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
# The user of Envoy's distroless image, so that both may write to /shared; nightjar's socket is made there. The folder belongs to
# the user as what is in it, and a volume takes both over.
COPY --from=build --chown=65532:65532 /out/ /
USER 65532:65532
VOLUME /shared
ENTRYPOINT ["/shared/bin/nightjar"]
