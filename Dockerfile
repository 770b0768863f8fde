# One image for the dashboard and the worker.
FROM python:3.12-slim

WORKDIR /opt/recaption
COPY requirements/runtime.txt requirements/runtime.txt
RUN pip install --no-cache-dir --requirement requirements/runtime.txt
COPY . .
RUN pip install --no-cache-dir --no-deps . && useradd --create-home recaption \
    && mkdir /data && chown recaption /data

USER recaption
WORKDIR /home/recaption
ENV RECAPTION_HOME=/data
CMD ["recaption", "web", "--host", "0.0.0.0"]
