import CoreML
import Recognizer

/// Packages compiled for this device, each in a folder named by its hash and the system's build: Core ML
/// keeps what it specialises for a model by the path, so that a path that stays saves minutes.
struct CompiledModels: Sendable {
    let folder: URL
    let build: String  // of the system; another one compiles anew

    /// The compiled model of a bundle. Throws `ProgramError` when Core ML does not take the package.
    func compiled(_ bundle: GestureBundle) async throws -> URL {
        let place = folder.appending(path: name(bundle.manifest))
        if FileManager.default.fileExists(atPath: place.path) { return place }
        do {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            let made = try await MLModel.compileModel(at: bundle.package)
            // Moved under its name when it is whole; somebody else's of the same name is as good.
            try FileManager.default.moveItem(at: made, to: place)
        } catch {
            guard FileManager.default.fileExists(atPath: place.path) else {
                throw ProgramError(
                    "Core ML does not compile \(bundle.manifest.name): \(oneLine(error)); export it again")
            }
        }
        return place
    }

    /// Removes what no bundle of these needs any more.
    func prune(keeping bundles: [Manifest]) {
        let kept = Set(bundles.map(name))
        let inside = try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        for old in inside ?? [] where !kept.contains(old.lastPathComponent) {
            try? FileManager.default.removeItem(at: old)  // a leftover costs storage, nothing else
        }
    }

    private func name(_ manifest: Manifest) -> String { "\(manifest.artifact.sha256)-\(build).mlmodelc" }
}

/// Loads a compiled model; blocks, for minutes when the system specialises it for the first time.
///
/// Throws `ProgramError` with Core ML's reason.
func loadProgram(_ compiled: URL, _ manifest: Manifest, _ units: ComputeUnits) throws -> CoreMLProgram {
    let configuration = MLModelConfiguration()
    configuration.computeUnits = units.coreML
    do {
        return try CoreMLProgram(try MLModel(contentsOf: compiled, configuration: configuration), manifest)
    } catch let error as ProgramError {
        throw error
    } catch {
        throw ProgramError("Core ML does not load \(manifest.name) for \(units.rawValue): \(oneLine(error))")
    }
}
