import Foundation

/// A folder that claims to be a bundle: its manifest, or the problem with it in one line.
public struct FoundBundle: Sendable {
    public let name: String  // the folder's
    public let folder: URL
    public let manifest: Manifest?
    public let problem: String?
}

/// Where bundles come from: the folder inside the app, and that of the app's documents. Of two that have
/// the same folder name the latter wins, so that a model is tried without a new build.
public struct BundleStore: Sendable {
    private let folders: [URL]

    /// What a message tells a person who has no bundle.
    public static let wayOut =
        "run python -m mobile_export --target coreml --into ios_demo and build the app again, or copy a bundle "
        + "into Bundles in this app's documents"

    /// Later folders win; one that does not exist holds nothing.
    public init(_ folders: [URL]) { self.folders = folders }

    /// Every bundle by name, damaged ones among them. Reads manifests alone.
    public func list() -> [FoundBundle] {
        var found: [String: FoundBundle] = [:]
        for folder in folders {
            let inside = try? FileManager.default.contentsOfDirectory(
                at: folder, includingPropertiesForKeys: [.isDirectoryKey], options: .skipsHiddenFiles)
            // Hidden folders are exports under way, and other files are none of ours.
            for bundle in inside ?? [] where isFolder(bundle) {
                found[bundle.lastPathComponent] = read(bundle)
            }
        }
        return found.values.sorted { $0.name < $1.name }
    }

    private func isFolder(_ url: URL) -> Bool {
        (try? url.resourceValues(forKeys: [.isDirectoryKey]).isDirectory) == true
    }

    private func read(_ folder: URL) -> FoundBundle {
        let name = folder.lastPathComponent
        do {
            let manifest = try GestureBundle.manifest(in: folder)
            return FoundBundle(name: name, folder: folder, manifest: manifest, problem: nil)
        } catch {
            return FoundBundle(name: name, folder: folder, manifest: nil, problem: oneLine(error))
        }
    }
}
