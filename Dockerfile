# xr0-sim on a CPU. Nothing is fetched at run time.
#
#   docker build -t xr0-sim .
#   docker run --rm xr0-sim                                    # xr0-sim doctor
#   docker run --rm -v "$PWD/out:/work/out" xr0-sim rollout --policy oracle --episodes 2
#
# The container's user is 1000; a mounted folder has to be writable for it.

FROM python:3.11-slim AS wheel
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.11-slim
# Rendering in software.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libegl1 libgl1-mesa-dri \
    && rm -rf /var/lib/apt/lists/*
COPY constraints.txt /tmp/
# The CPU build of torch, before anything asks for the one of several GB.
RUN pip install --no-cache-dir -c /tmp/constraints.txt \
    --index-url https://download.pytorch.org/whl/cpu torch
COPY --from=wheel /wheel/ /tmp/wheel/
RUN pip install --no-cache-dir -c /tmp/constraints.txt \
    "xr0-sim[serve] @ file://$(echo /tmp/wheel/*.whl)" \
    && rm -rf /tmp/wheel /tmp/constraints.txt
RUN useradd --create-home --uid 1000 xr0 && install -d -o xr0 /work /work/out
USER xr0
WORKDIR /work
ENTRYPOINT ["xr0-sim"]
CMD ["doctor"]
