module ktrans/kuberay

go 1.26.6

require github.com/ray-project/kuberay/ray-operator v1.6.2
