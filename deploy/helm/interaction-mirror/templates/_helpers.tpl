{{- define "mirror.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "mirror.environment" -}}
envFrom:
  - configMapRef: {name: {{ .Release.Name }}}
  - secretRef: {name: {{ .Values.secretName }}}
{{- end }}

{{- define "mirror.container-security" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{- define "mirror.pod-security" -}}
# Nothing here asks the cluster for anything.
automountServiceAccountToken: false
# Else Kubernetes sets variables for services around, and MIRROR_DASHBOARD_PORT is a setting.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- end }}

{{- /* The pod of a process: a list of the root, the name of the process, and what it is given. */}}
{{- define "mirror.pod" -}}
{{- $root := index . 0 }}{{- $process := index . 1 }}{{- $given := index . 2 -}}
metadata:
  labels: {app: {{ $root.Release.Name }}, process: {{ $process }}}
  annotations:
    checksum/settings: {{ toJson $root.Values.settings | sha256sum }}
spec:
  # A process drains within 25 s of SIGTERM.
  terminationGracePeriodSeconds: 35
  {{- include "mirror.pod-security" $root | nindent 2 }}
  {{- with $root.Values.nodeSelector }}
  nodeSelector: {{ toJson . }}
  {{- end }}
  {{- with $root.Values.tolerations }}
  tolerations: {{ toJson . }}
  {{- end }}
  # On different nodes, so that losing one leaves the others.
  affinity:
    podAntiAffinity:
      {{- if eq $root.Values.antiAffinity "required" }}
      requiredDuringSchedulingIgnoredDuringExecution:
        - topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels: {app: {{ $root.Release.Name }}, process: {{ $process }}}
      {{- else }}
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels: {app: {{ $root.Release.Name }}, process: {{ $process }}}
      {{- end }}
  containers:
    - name: {{ $process }}
      image: {{ include "mirror.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args: [{{ $process }}]
      {{- include "mirror.environment" $root | nindent 6 }}
      env:
        - name: MIRROR_HOST
          valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
        {{- if eq $process "dashboard" }}
        - {name: MIRROR_DASHBOARD_HOST, value: "::"}
        {{- end }}
        {{- with $given.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - {name: metrics, containerPort: {{ $root.Values.settings.MIRROR_METRICS_PORT }}}
        {{- if eq $process "dashboard" }}
        - {name: page, containerPort: 8080}
        {{- end }}
      # A process that waits for Redis, Kafka or Genesys at its start may serve nothing yet, so this
      # probe is patient. /livez answers 503 only where a restart helps, /healthz where it is `down`.
      startupProbe:
        httpGet: {path: /livez, port: metrics}
        periodSeconds: 5
        failureThreshold: 720
      livenessProbe:
        httpGet: {path: /livez, port: metrics}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      readinessProbe:
        httpGet: {path: /healthz, port: metrics}
        periodSeconds: 5
        timeoutSeconds: 5
      resources:
        {{- toYaml $given.resources | nindent 8 }}
      {{- include "mirror.container-security" $root | nindent 6 }}
      {{- if eq $process "listener" }}
      volumeMounts:
        - {name: spool, mountPath: {{ $root.Values.settings.MIRROR_SPOOL_DIR }}}
      {{- end }}
{{- end }}
