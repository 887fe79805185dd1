# Writes the rules once more as Kubernetes' Prometheus operator takes them: `python -m campaigns.monitoring.operator`.

import io

from ruamel.yaml import YAML

from campaigns.monitoring.shipped import MONITORING, RULES

FILE = MONITORING / "kubernetes" / "prometheusrule.yaml"
_HEAD = """\
# The rules of ../rules, for the Prometheus operator. Written by `python -m campaigns.monitoring.operator`.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: idempotency-gateway
  labels:
    app.kubernetes.io/name: idempotency-gateway
spec:
"""


def text() -> str:
    """What the file has to hold. The comments of the rules are left out."""
    groups = [group for path in RULES for group in YAML(typ="safe", pure=True).load(path)["groups"]]
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    written = io.StringIO()
    yaml.dump({"groups": groups}, written)
    return _HEAD + "".join(f"  {line}\n" if line else "\n" for line in written.getvalue().splitlines())


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
