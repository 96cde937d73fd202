//! Every label, annotation and fixed name that Weir puts on objects, once.

/// API group of all Weir kinds.
pub const GROUP: &str = "weir.dev";
/// Name of the `LoadTest` that a child object belongs to.
pub const LOAD_TEST: &str = "weir.dev/load-test";
/// Name of the `LoadTestRun` that a child object belongs to.
pub const RUN: &str = "weir.dev/run";
/// UID of the `LoadTestRun` that a child object belongs to: a run made anew under an old name is another run.
pub const RUN_UID: &str = "weir.dev/run-uid";
/// Prefix of all labels and annotations that are Weir's own.
pub const PREFIX: &str = "weir.dev/";
/// Finalizer of a `LoadTestRun` that has pods: its deletion ends the run gracefully, within a bounded time.
pub const FINALIZER: &str = "weir.dev/run";
/// What the pod or object does in the run: [`ROLE_RUNNER`], [`ROLE_AGGREGATOR`], [`ROLE_WRITER`] or
/// [`ROLE_RESULT`].
pub const ROLE: &str = "weir.dev/role";
/// Value of [`ROLE`] on runner Jobs and pods.
pub const ROLE_RUNNER: &str = "runner";
/// Value of [`ROLE`] on the aggregator's Job, pods, Service and access objects.
pub const ROLE_AGGREGATOR: &str = "aggregator";
/// Value of [`ROLE`] on the writers' Job, pods and Service: replicas of the aggregator that only write samples.
pub const ROLE_WRITER: &str = "writer";
/// Value of [`ROLE`] on the result `ConfigMap`.
pub const ROLE_RESULT: &str = "result";
/// Who manages the object, as Kubernetes recommends.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Field manager of every server-side apply by the operator, and value of [`MANAGED_BY`].
pub const FIELD_MANAGER: &str = "weir";
/// Field manager of the aggregator's patches to the result `ConfigMap`.
pub const AGGREGATOR_FIELD_MANAGER: &str = "weir-aggregator";
/// Name of the container that runs k6 in a runner pod; `runnerTemplate` addresses it by this name.
pub const K6_CONTAINER: &str = "k6";
/// Name of the aggregator's container; `aggregator.template` addresses it by this name.
pub const AGGREGATOR_CONTAINER: &str = "aggregator";
/// Key of the JSON document (`wire::result::RunResult`) in the result `ConfigMap`.
pub const RESULT_KEY: &str = "summary.json";
