import Foundation

/// What Core ML may compute with, in its own words.
public enum ComputeUnits: String, CaseIterable, Codable, Sendable {
    case cpuAndNeuralEngine, cpuAndGPU, cpuOnly  // the one to try first, first
}

/// A bundle on some compute units.
public struct Candidate: Hashable, Codable, Sendable {
    public let bundle: String  // its folder's name
    public let units: ComputeUnits

    public init(bundle: String, units: ComputeUnits) {
        self.bundle = bundle
        self.units = units
    }
}

/// What trying a candidate on this device gave.
public struct Trial: Codable, Equatable, Sendable {
    public let medianMs: Double?  // end to end, at the manifest's frame rate; nil: it failed
    public let deviation: Double?  // from the golden clip, of its largest logit
    public let reason: String?  // why it cannot be used, in one line; nil: it can

    public init(medianMs: Double, deviation: Double) {
        self.medianMs = medianMs
        self.deviation = deviation
        reason = nil
    }

    public init(failed reason: String) {
        medianMs = nil
        deviation = nil
        self.reason = reason
    }
}

/// What trials said of an artifact, on this device, this version of the app and this build of the system:
/// another compiler for the Neural Engine has to be tried again.
///
/// The beginning is written down too. A compiler or a driver that takes the whole process with it cannot be
/// caught; the next start finds a trial, or a load, that never ended, and does not walk into it again.
public final class TrialMemory {
    private let notes: any Notebook
    private let surroundings: String
    private static let begun = "the app ended while it was tried"
    private static let loading = "loading"

    public init(_ notes: any Notebook, surroundings: String) {
        self.notes = notes
        self.surroundings = surroundings
    }

    /// What is remembered; a trial that never ended is one that failed.
    public func trial(_ sha256: String, _ units: ComputeUnits) -> Trial? {
        guard let text = notes.get(key(sha256, units)) else { return nil }
        return try? JSONDecoder().decode(Trial.self, from: Data(text.utf8))
    }

    public func begin(_ sha256: String, _ units: ComputeUnits) throws {
        try write(Trial(failed: Self.begun), sha256, units)
    }

    public func end(_ sha256: String, _ units: ComputeUnits, _ trial: Trial) throws {
        try write(trial, sha256, units)
    }

    /// As if it had never been tried: the person left the app, which says nothing about the model.
    public func forget(_ sha256: String, _ units: ComputeUnits) throws {
        try notes.put(key(sha256, units), nil)
    }

    /// A model that passed is loaded to be used: until `loaded`, an end of the process counts against it.
    public func load(_ sha256: String, _ units: ComputeUnits) throws {
        try notes.put(Self.loading, key(sha256, units))
    }

    public func loaded() throws {
        if notes.get(Self.loading) != nil { try notes.put(Self.loading, nil) }
    }

    /// At the start: a load that never ended becomes a trial that failed.
    public func settle() throws {
        guard let key = notes.get(Self.loading) else { return }
        try notes.put(key, text(Trial(failed: "the app ended while it was loaded")))
        try notes.put(Self.loading, nil)
    }

    private func write(_ trial: Trial, _ sha256: String, _ units: ComputeUnits) throws {
        try notes.put(key(sha256, units), text(trial))
    }

    private func text(_ trial: Trial) throws -> String {
        String(decoding: try JSONEncoder().encode(trial), as: UTF8.self)
    }

    private func key(_ sha256: String, _ units: ComputeUnits) -> String {
        "trial \(sha256) \(units.rawValue) \(surroundings)"
    }
}
