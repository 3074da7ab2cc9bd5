# docker build -t napari-clickseg .
# docker run --rm -v "$PWD:/images" napari-clickseg predict cells.tif --positive 120,88 --out mask.tif
# docker run --rm -v "$PWD:/images" --entrypoint xvfb-run napari-clickseg \
#     -a -s "-screen 0 1280x1024x24" clickseg demo --out demo-output
FROM python:3.11-slim-bookworm

COPY tools/debian-packages.txt /tmp/
RUN apt-get update \
    && grep -v '^#' /tmp/debian-packages.txt | xargs apt-get install -y --no-install-recommends \
    && rm -rf /var/lib/apt/lists/* /tmp/debian-packages.txt

WORKDIR /build
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt uv
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN uv pip install --system --no-cache --constraint constraints.txt ".[all]"

RUN useradd --create-home clickseg
USER clickseg
WORKDIR /images
ENTRYPOINT ["clickseg"]
CMD ["--help"]
