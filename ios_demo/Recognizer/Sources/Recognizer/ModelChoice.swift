/// A model that may be run here, and how it came to be this one.
public struct ChosenModel: Sendable {
    public let candidate: Candidate
    public let bundle: GestureBundle
    public let why: String  // in one line for a person
    public let fallback: String?  // why it is not the one that was wanted; nil: it is, or none was
    public let notices: [String]  // what a person should know besides
    public let choices: [Candidate]  // what a person can choose from
}

/// Decides which bundle runs on which compute units: the one that a person wants, if it computes on this
/// device what its golden clip says, else the fastest that does.
///
/// It asks for one trial after the other: while `next` gives a candidate, try it and `record` what came of
/// it; then `result` has the answer. What is remembered is not tried again.
public struct ModelChoice {
    private var opened: [(name: String, bundle: GestureBundle)] = []
    private var notices: [String] = []
    private var trials: [Candidate: Trial] = [:]
    private var wanted: Candidate?
    private var again: Bool
    private let memory: TrialMemory

    /// With `again` the wanted candidate, or without one every candidate, is tried once more although it
    /// failed before: a person asked.
    ///
    /// Opens every bundle, which reads it all; those that need a newer `system`, iOS by its number, are
    /// none. Throws `BundleError` when there is none that can be read.
    public init(
        _ found: [FoundBundle], _ memory: TrialMemory, wanted: Candidate?, again: Bool, system: Int = .max
    ) throws {
        self.memory = memory
        self.again = again
        guard !found.isEmpty else { throw BundleError("there is no bundle: \(BundleStore.wayOut)") }
        for one in found {
            do {
                if let problem = one.problem { throw BundleError(problem) }
                if let oldest = one.manifest?.oldestSystem, oldest > system {
                    throw BundleError(
                        "\(one.name) needs iOS \(oldest), this is iOS \(system): export with "
                            + "--deployment-target iOS\(system)")
                }
                opened.append((one.name, try GestureBundle(opening: one.folder)))
            } catch {
                notices.append(oneLine(error))
            }
        }
        guard !opened.isEmpty else { throw BundleError(notices.joined(separator: "; ")) }
        if let wanted {
            if opened.contains(where: { $0.name == wanted.bundle }) {
                self.wanted = wanted
            } else {
                notices.append(
                    "there is no bundle \(wanted.bundle); there are \(opened.map(\.name).joined(separator: ", "))"
                )
            }
        }
        for candidate in candidates {
            guard let trial = memory.trial(sha256(candidate), candidate.units) else { continue }
            if again, trial.reason != nil, self.wanted == nil || candidate == self.wanted { continue }
            trials[candidate] = trial
        }
    }

    /// Everything that could run: compute units in the order that is worth trying, then names.
    public var candidates: [Candidate] {
        ComputeUnits.allCases.flatMap { units in opened.map { Candidate(bundle: $0.name, units: units) } }
    }

    /// How many trials there are still to come at most.
    public var left: Int { next() == nil ? 0 : candidates.filter { trials[$0] == nil }.count }

    /// What has to be tried next; nil when nothing has to.
    public func next() -> Candidate? {
        if let wanted {
            guard let trial = trials[wanted] else { return wanted }
            if trial.reason == nil { return nil }
        }
        return candidates.first { trials[$0] == nil }
    }

    public func bundle(_ candidate: Candidate) -> GestureBundle {
        opened.first { $0.name == candidate.bundle }!.bundle  // candidates come from `opened` alone
    }

    /// Writes down that a trial begins. Throws when that cannot be written: it would not be found again.
    public func begin(_ candidate: Candidate) throws { try memory.begin(sha256(candidate), candidate.units) }

    public mutating func record(_ candidate: Candidate, _ trial: Trial) throws {
        trials[candidate] = trial
        try memory.end(sha256(candidate), candidate.units, trial)
    }

    /// A trial that was broken off is as if it had never begun.
    public func abandon(_ candidate: Candidate) throws {
        try memory.forget(sha256(candidate), candidate.units)
    }

    /// The wanted model when it passed, else the fastest that did.
    ///
    /// Throws `BundleError` when none did; the line has every reason.
    public func result() throws -> ChosenModel {
        if let wanted, let trial = trials[wanted], trial.reason == nil {
            return chosen(wanted, why: "chosen by you, \(milliseconds(trial)) ms here", fallback: nil)
        }
        let passed = candidates.compactMap { one in trials[one]?.medianMs.map { (one, $0) } }
        guard let best = passed.min(by: { $0.1 < $1.1 }), let trial = trials[best.0] else {
            let reasons = candidates.compactMap { one in
                trials[one]?.reason.map { "\(one.bundle) on \(one.units.rawValue): \($0)" }
            }
            throw BundleError("no bundle can be used here: \(reasons.joined(separator: "; "))")
        }
        let why =
            "fastest of \(passed.count) that gave their golden clip here, \(milliseconds(trial)) ms a frame"
        let fallback = wanted.map { one in
            "\(one.bundle) on \(one.units.rawValue) is not used: \(trials[one]?.reason ?? "it was not tried")"
        }
        return chosen(best.0, why: why, fallback: fallback)
    }

    private func chosen(_ candidate: Candidate, why: String, fallback: String?) -> ChosenModel {
        let failed = candidates.compactMap { one -> String? in
            guard one != wanted, let reason = trials[one]?.reason else { return nil }
            return "\(one.bundle) on \(one.units.rawValue) is not used: \(reason)"
        }
        return ChosenModel(
            candidate: candidate, bundle: bundle(candidate), why: why, fallback: fallback,
            notices: notices + failed, choices: candidates)
    }

    private func sha256(_ candidate: Candidate) -> String { bundle(candidate).manifest.artifact.sha256 }

    private func milliseconds(_ trial: Trial) -> String { trial.medianMs.map { fixed($0, 2) } ?? "?" }
}
