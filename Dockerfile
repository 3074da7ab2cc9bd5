# The workbench, whole: the command line alone (stage cli), or napari in a browser (stage desktop).
# docs/container.md says how to use it. Each step is a script that the Makefile runs as well.
#
#   make image STAGE=cli|desktop TORCH=cpu|auto|cu126 …
ARG PYTHON=3.11
FROM python:${PYTHON}-slim-bookworm AS base

# uv's --torch-backend: cpu, or the CUDA that the machine's driver knows; empty is the registry's.
ARG TORCH=cpu
# All that is made in the container lies in the mounted folder, also the models.
ENV UV_TORCH_BACKEND=${TORCH} \
    VENV=/opt/clickseg \
    PATH=/opt/clickseg/bin:$PATH \
    UV_NO_CACHE=1 \
    HOME=/var/clickseg \
    CLICKSEG_HOME=/project/napari-clickseg

WORKDIR /build
COPY LICENSE README.md constraints.txt pyproject.toml ./
COPY tools/setup.sh tools/debian-packages.txt tools/debian-desktop.txt tools/desktop.sh tools/smoke.sh tools/
COPY src src

# Anybody's numbers may be given by --user, so the home folder is everybody's.
RUN useradd --home-dir /var/clickseg --create-home clickseg \
    && chmod 1777 /var/clickseg \
    && mkdir /project && chown clickseg /project


FROM base AS cli
RUN QT=none tools/setup.sh plugin && rm -rf "$HOME/.cache"
USER clickseg
RUN tools/smoke.sh
WORKDIR /project
VOLUME /project
ENTRYPOINT ["clickseg"]
CMD ["--help"]


FROM base AS desktop
RUN tools/setup.sh system && tools/setup.sh desktop && rm -rf /var/lib/apt/lists/*
RUN QT=pyqt6 tools/setup.sh plugin && rm -rf "$HOME/.cache"
ENV LISTEN=0.0.0.0 PORT=6080
USER clickseg
RUN tools/smoke.sh window
WORKDIR /project
VOLUME /project
EXPOSE 6080
ENTRYPOINT ["/build/tools/desktop.sh"]
