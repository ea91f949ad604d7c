// Custom resource definitions that deploy/ uses, in the zips of their projects' modules (see ../build).
// Nothing of them is compiled.
module vsecm-scout/tests/cluster/crds

go 1.26.0

require (
	github.com/cert-manager/cert-manager v1.21.2
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
