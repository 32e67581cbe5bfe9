// What `ts-json-schema-generator` makes the schemas of KEDA, External Secrets and the Prometheus Operator from.
import { IExternalSecret } from "@kubernetes-models/external-secrets/external-secrets.io/v1/ExternalSecret";
import { IScaledObject } from "@kubernetes-models/keda/keda.sh/v1alpha1/ScaledObject";
import { IPodMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor";
import { IPrometheusRule } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule";
import { IServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";

export type ExternalSecret = IExternalSecret;
export type PodMonitor = IPodMonitor;
export type PrometheusRule = IPrometheusRule;
export type ScaledObject = IScaledObject;
export type ServiceMonitor = IServiceMonitor;
