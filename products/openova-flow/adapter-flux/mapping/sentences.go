package mapping

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// subject names an object for people and command lines.
type subject struct{ kind, namespace, name, label string }

// resource returns the kind for kubectl, with its group if other groups have a kind of that name.
func (s subject) resource() string {
	switch s.kind {
	case kindKustomization, kindBucket:
		return strings.ToLower(s.kind) + "s." + groups[s.kind]
	}
	return strings.ToLower(s.kind)
}

// cli returns the kind for the flux command; nil if flux does not know the kind.
func (s subject) cli() []string {
	switch s.kind {
	case kindHelmRelease, kindKustomization:
		return []string{strings.ToLower(s.kind)}
	case kindGitRepository, kindOCIRepository, kindHelmRepository:
		return []string{"source", strings.ToLower(strings.TrimSuffix(s.kind, "Repository"))}
	case kindBucket:
		return []string{"source", "bucket"}
	}
	return nil
}

func (s subject) kubectl(args ...string) []string {
	return append([]string{"kubectl", "-n", s.namespace}, args...)
}

func (s subject) describe() []string { return s.kubectl("describe", s.resource(), s.name) }

// flux returns a flux command for the object, or describe if flux does not know the kind.
func (s subject) flux(verb string, flags ...string) []string {
	cli := s.cli()
	if cli == nil {
		return s.describe()
	}
	return append(append(append([]string{"flux", verb}, cli...), s.name, "-n", s.namespace), flags...)
}

func (s subject) resume() []string    { return s.flux("resume") }
func (s subject) reconcile() []string { return s.flux("reconcile") }

// force returns the command that makes the controller act although nothing has changed.
func (s subject) force() []string {
	if s.kind == kindHelmRelease {
		return s.flux("reconcile", "--force")
	}
	return s.flux("reconcile")
}

// reset returns the command that makes Flux retry after it has given up, or describe if that cannot help.
func (s subject) reset(why explanation) []string {
	if s.kind == kindHelmRelease && why.helps() {
		return s.flux("reconcile", "--reset")
	}
	return s.describe()
}

// controller returns the command that shows the log of the kind's controller.
func (s subject) controller() []string {
	return []string{"kubectl", "-n", FluxNamespace, "logs", "deployment/" + controllerOf[s.kind], "--tail=100"}
}

// reasons are the clauses for the reasons of Ready and Stalled. They follow the name of the object.
var reasons = map[string]string{
	"InstallSucceeded": "is installed", "UpgradeSucceeded": "is upgraded", "TestSucceeded": "is installed and its tests passed", "ReconciliationSucceeded": "is applied",
	"Succeeded": "is fetched", "ChartPullSucceeded": "has its chart",
	"RollbackSucceeded": "failed to upgrade and was rolled back", "UninstallSucceeded": "failed and was uninstalled", "InstallFailed": "failed to install", "UpgradeFailed": "failed to upgrade",
	"TestFailed": "is deployed, but its tests failed", "RollbackFailed": "could not be rolled back", "UninstallFailed": "could not be uninstalled",
	"RetriesExceeded": "has used up its retries", "RetriesExhausted": "has used up its retries",
	"ArtifactFailed": "cannot load its source", "SourceNotReady": "has a source that is not ready", "DependencyNotReady": "waits for a dependency", "ValuesError": "cannot compose its values",
	"ChartMutateError": "cannot change the chart's metadata as its spec asks", "RESTClientError": "cannot reach its target cluster", "FactoryError": "cannot be deployed: Helm could not be set up for it",
	"ConfigFactoryErr": "cannot be deployed: Helm could not be set up for it", "ResourceManagerError": "cannot reach its target cluster",
	"StateError": "has a release state that cannot be read from its target cluster", "ReconcileError": "could not be reconciled", "MissingRollbackTarget": "failed, and there is no earlier release to roll back to",
	"PendingRelease": "is locked by a Helm operation that did not end", "AccessDenied": "refers to another namespace, which this cluster does not allow",
	"HealthCheckCanceled": "changed while its health was being checked; the check was cancelled and is to start again", "HealthCheckFailed": "was applied, but is not healthy",
	"InvalidCELExpression": "has an expression that is not valid", "InitFailed": "could not be set up", "GetLastReleaseFailed": "has a release history that could not be read",
	"ReconciliationFailed": "could not be applied", "BuildFailed": "cannot be built", "PruneFailed": "could not remove what is no longer in its source", "FeatureGateDisabled": "needs a feature that is not enabled in its controller",
	"DirectoryCreationFailed": "could not be unpacked by its controller", "InvalidChartReference": "names a chart that its repository does not offer", "NoSourceArtifact": "has a source that has fetched nothing yet",
	"GitOperationFailed": "cannot be fetched", "AuthenticationFailed": "cannot be fetched", "OCIArtifactPullFailed": "cannot be fetched", "BucketOperationFailed": "cannot be fetched", "IndexationFailed": "cannot be fetched",
	"FetchFailed": "cannot be fetched", "StorageOperationFailed": "could not be stored by its controller", "VerificationError": "has a signature that does not verify", "URLInvalid": "has a URL that is not valid",
}

// explanation is the meaning of a reason and a message for a person.
type explanation struct {
	subject
	reason, message string
	clause          string // after the name; empty for an unknown reason
	cause           string // a clause; empty if no pattern matches the message
	object          string // Kind/namespace/name of an object that the message names
	command         []string
	hopeless        bool // the same input can only fail again
}

// explain reads a reason and a message of a controller, Helm or the API server.
func explain(s subject, reason, message string) explanation {
	e := explanation{subject: s, reason: reason, message: message, clause: reasons[reason]}
	for _, p := range patterns {
		if g := p.pattern.FindStringSubmatch(message); g != nil {
			e.cause = oneLine(p.why(g), 400)
			if p.object != nil {
				e.object = oneLine(p.object(g), 3*longestName)
			}
			if p.command != nil {
				e.command = trusted(p.command(g), g)
			}
			e.hopeless = p.hopeless
			break
		}
	}
	e.hopeless = e.hopeless || reason == "BuildFailed"
	return e
}

// read is like the function explain, but caches the last result, since an object is judged at several instants.
func (f *facts) read(reason, message string) explanation {
	if f.explained.kind == "" || f.explained.reason != reason || f.explained.message != message {
		f.explained = explain(f.subject, reason, message)
	}
	return f.explained
}

// longestName is the limit for a Kubernetes name, in bytes.
const longestName = 253

// trusted returns a command, or nil if an argument from a message cannot be a name. A message may be hostile, and must not add options or very long
// arguments.
func trusted(argv, fromMessage []string) []string {
	for _, a := range argv {
		if len(a) > longestName || strings.ContainsFunc(a, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }) ||
			strings.HasPrefix(a, "-") && slices.ContainsFunc(fromMessage, func(g string) bool { return strings.EqualFold(g, a) }) {
			return nil
		}
	}
	return argv
}

// ownFault reports whether the object itself, not its source, is at fault: its path, its chart's name or version.
func (e explanation) ownFault() bool {
	return strings.Contains(e.message, "kustomization path not found") || strings.Contains(e.message, "chart with version matching") || strings.Contains(e.message, "no chart name found")
}

// helps reports whether a retry with the same input may succeed.
func (e explanation) helps() bool { return !e.hopeless }

// why returns the cause, or else the message, cut.
func (e explanation) why() string {
	if e.cause != "" {
		return e.cause
	}
	return oneLine(e.message, 200)
}

// sentence returns the whole sentence, with the name of the object.
func (e explanation) sentence() string {
	clause, why := e.clause, e.why()
	if clause == "" {
		clause = "reports " + cmp.Or(e.reason, "an error")
	}
	sentence := e.label + " " + clause
	if why != "" {
		sentence += ": " + why
	}
	return strings.TrimRight(sentence, ". ") + "."
}

// toCause returns the explanation as the cause of a judgement. Its class is that of the reason.
func (e explanation) toCause(reason string) cause {
	command := e.command
	if command == nil {
		command = e.describe()
	}
	return cause{class: class(reason), object: e.object, sentence: e.sentence(), command: command, inGit: e.hopeless}
}

// class returns the class of a reason: install-failed for InstallFailed, rest-client-error for RESTClientError.
func class(reason string) string {
	var b strings.Builder
	runes := []rune(reason)
	for i, r := range runes {
		upper := unicode.IsUpper(r)
		if upper && i > 0 && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// oneLine puts a message on one line of at most limit characters. It cuts between words, unless that costs more than half. It removes the names of
// temporary directories, and replaces JSON by an ellipsis.
func oneLine(s string, limit int) string {
	s = temporary.ReplaceAllString(strings.Join(strings.Fields(s), " "), "")
	s = jsonText.ReplaceAllString(s, "…")
	if len(s) <= limit {
		return s
	}
	runes := []rune(s)
	if len(runes) <= limit {
		return s
	}
	cut := string(runes[:limit-2])
	if gap := strings.LastIndexByte(cut, ' '); gap > len(cut)/2 {
		cut = cut[:gap]
	}
	return strings.TrimRight(cut, ` ,;:.("'`) + " …"
}

var (
	temporary = regexp.MustCompile(`/tmp/[^/\s:'",]*/?`)  // a temporary directory, which has another name at each try
	jsonText  = regexp.MustCompile(`\{\\?".*\}|\{\\?".*`) // to the last brace, or to the end if the message was cut
)

// sentence returns the sentence for a reason of success.
func (f *facts) sentence(reason string) string {
	clause := reasons[reason]
	if clause == "" {
		clause = "is ready"
	}
	return f.label + " " + clause + "."
}

// givenUp returns the sentence that Flux has given up.
func (f *facts) givenUp() string {
	sentence := " Flux has given up on it"
	if m := attempts.FindStringSubmatch(f.stalled.message); m != nil {
		sentence += " after " + m[1] + " " + plural(m[1] == "1", "try", "tries")
	}
	if f.stalled.reason == "MissingRollbackTarget" {
		sentence += ": there is no earlier release to roll back to"
	}
	return sentence + "."
}

var attempts = regexp.MustCompile(`after (\d+) attempt`)

func plural(one bool, singular, many string) string {
	if one {
		return singular
	}
	return many
}

// try returns the number of the current attempt, in parentheses; empty if it is unknown.
func (f *facts) try() string {
	switch {
	case f.tries == 0:
		return ""
	case f.maxTries > 0:
		return fmt.Sprintf(" (try %d of %d)", f.tries, f.maxTries)
	}
	return fmt.Sprintf(" (try %d)", f.tries)
}

// explain explains Ready. If the object blames its chart, it reads the chart's Ready too.
func (f *facts) explain() explanation {
	reason, message := f.ready.reason, f.ready.message
	if reason != "SourceNotReady" && reason != "ArtifactFailed" {
		return f.read(reason, message)
	}
	if f.kind == kindHelmRelease && f.chart.ready.status == "True" && reason == "SourceNotReady" {
		e := explain(f.subject, reason, "")
		e.clause, e.command = "has its chart "+f.chart.revision+", but its controller has not looked at it again since the chart was not ready", f.reconcile()
		return e
	}
	if f.chart.ready.status == "False" {
		if e := f.read(reason, f.chart.ready.message); e.cause != "" {
			return e
		}
	}
	return f.read(reason, message)
}

func (f *facts) inProgress() string {
	switch {
	case runsAction(f.ready.message):
		return f.label + ": " + action(f.ready.message) + " is under way."
	case f.ready.reason == "AwaitingTests":
		return f.label + " is deployed and waits for its tests."
	case f.ready.reason == "HealthCheckCanceled":
		return f.label + " " + reasons["HealthCheckCanceled"] + "."
	case strings.HasPrefix(f.reconciling.message, "Running health checks"):
		return f.label + " is applied; its health is being checked" + f.health() + "."
	case f.ready.message == "correcting cluster drift":
		return f.label + " differs from what was deployed, and is put back."
	}
	return f.label + " is being worked on."
}

// health returns the names of the first three objects of otherChecks, in parentheses; empty if there are none.
func (f *facts) health() string {
	if len(f.otherChecks) == 0 {
		return ""
	}
	return " (" + strings.Join(f.otherChecks[:min(3, len(f.otherChecks))], ", ") + ")"
}

// overdue returns the cause for work that takes longer than its limit.
func (f *facts) overdue() cause {
	limit := " for longer than its limit of " + span(f.limit)
	switch {
	case f.ready.reason == "HealthCheckCanceled":
		return cause{class: "overdue", command: f.reconcile(), sentence: f.label + "'s health check was cancelled for a newer revision, and the next one has not started."}
	case runsAction(f.ready.message) && f.installed:
		return cause{class: "overdue", command: f.force(), sentence: f.label + " is installed, but its controller says" + limit + " that " + action(f.ready.message) + " is under way."}
	case runsAction(f.ready.message):
		return cause{class: "overdue", command: f.force(), sentence: f.label + ": " + action(f.ready.message) + " is under way" + limit + "."}
	case strings.HasPrefix(f.reconciling.message, "Running health checks"):
		return cause{class: "overdue", command: f.describe(), sentence: f.label + " is applied; its health" + f.health() + " is being checked" + limit + "."}
	}
	return cause{class: "overdue", command: f.force(), sentence: f.label + " is under way" + limit + "."}
}
