"""The component in which the gateway asks who calls: where its files come from."""

from pathlib import PurePosixPath

from support.manifests import environment, pods, rendered, service_container

# Keys of a Secret made by whoever runs the cluster, as docs/security.md says.
FILES = {"tokens", "callers.toml"}


def test_the_gateway_reads_who_may_call_from_a_secret_and_nobody_else_does():
    manifests = rendered("overlays/access")
    for service, pod in pods(manifests).items():
        container = service_container(pod)
        volumes = {volume["name"]: volume.get("secret") for volume in pod["spec"]["volumes"]}
        mounts = [mount for mount in container["volumeMounts"] if volumes[mount["name"]]]
        named = {
            PurePosixPath(value)
            for name, value in environment(manifests, container).items()
            if name.endswith(("_TOKENS_FILE", "_CALLERS_FILE"))
        }
        if service != "gateway":
            assert (mounts, named) == ([], set())
            continue
        (mount,) = mounts
        # As a folder: a file that is mounted by itself never changes.
        assert named == {PurePosixPath(mount["mountPath"], name) for name in FILES}
        assert "subPath" not in mount
        assert mount["readOnly"] is True
        assert volumes["access"] == {"secretName": "access", "defaultMode": 0o440}
