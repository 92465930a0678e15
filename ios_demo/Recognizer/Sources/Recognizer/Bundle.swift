import Foundation

/// A bundle whose files are all there and are what its manifest says.
public struct GestureBundle: Sendable {
    public let folder: URL
    public let manifest: Manifest

    /// The file's name in every bundle.
    public static let manifestName = "manifest.json"

    /// Where the artifact, a package, lies.
    public var package: URL { folder.appending(path: manifest.artifact.file) }

    /// Reads the manifest alone. Throws `BundleError`, its line beginning with the folder's name.
    public static func manifest(in folder: URL) throws -> Manifest {
        let name = folder.lastPathComponent
        let file = folder.appending(path: manifestName)
        let size = try? file.resourceValues(forKeys: [.fileSizeKey]).fileSize
        guard let size else {
            throw BundleError("\(name) has no \(manifestName): copy the whole bundle, or delete it")
        }
        do {
            // Asked first: a file of gigabytes is not to be read to find out that it is too long.
            guard size <= Json.mostBytes else {
                throw BundleError("more than \(Json.mostBytes) bytes are no manifest: export again")
            }
            return try Manifest.parse(try Data(contentsOf: file))
        } catch let error as BundleError {
            throw BundleError("\(name)/\(manifestName): \(error)")
        } catch {
            throw BundleError("\(name)/\(manifestName) cannot be read (\(oneLine(error))): copy it again")
        }
    }

    /// Opens the bundle and checks size and hash of every file; reads it all once (about 5 MB).
    ///
    /// Throws `BundleError` when it is missing, damaged, changed or of no use here.
    public init(opening folder: URL) throws {
        self.folder = folder
        manifest = try Self.manifest(in: folder)
        let artifact = manifest.artifact
        try check(artifact.file, bytes: artifact.bytes, sha256: artifact.sha256)
        let golden = manifest.golden
        for entry in [golden.inputs, golden.pixels, golden.logits] {
            try check(entry.file, bytes: golden.frames * entry.bytesAFrame, sha256: entry.sha256)
        }
    }

    /// The golden clip's pixels, RGB bytes (frames, 3, size, size).
    public func goldenPixels() throws -> [UInt8] { [UInt8](try whole(manifest.golden.pixels)) }

    /// The golden logits, (frames, labels), one row a frame.
    public func goldenLogits() throws -> [[Float]] {
        let data = try whole(manifest.golden.logits)
        let labels = manifest.labels.count
        return data.withUnsafeBytes { raw in
            (0..<manifest.golden.frames).map { frame in
                (0..<labels).map { label in
                    let bits = raw.loadUnaligned(
                        fromByteOffset: 4 * (frame * labels + label), as: UInt32.self)
                    return Float(bitPattern: UInt32(littleEndian: bits))
                }
            }
        }
    }

    private func whole(_ entry: GoldenFile) throws -> Data {
        let data = try read(folder.appending(path: entry.file), called: entry.file)
        // It was whole when the bundle was opened; somebody may have taken it away since.
        guard data.count == manifest.golden.frames * entry.bytesAFrame else {
            throw damaged("\(entry.file) has \(data.count) bytes now")
        }
        return data
    }

    private func check(_ name: String, bytes: Int, sha256: String) throws {
        let place = folder.appending(path: name)
        var digest = Digest()
        var found = 0
        if let files = try files(under: place, called: name) {
            for (relative, file) in files {
                digest.update(Data(relative.utf8) + [0])
                let data = try read(file, called: "\(name)/\(relative)")
                digest.update(data)
                found += data.count
            }
        } else {
            let data = try read(place, called: name)
            digest.update(data)
            found = data.count
        }
        guard found == bytes else { throw damaged("\(name) has \(found) bytes, the manifest says \(bytes)") }
        let hash = digest.finish()
        guard hash == sha256 else {
            throw damaged(
                "\(name) has SHA-256 \(hash.prefix(12))..., the manifest says \(sha256.prefix(12))...")
        }
    }

    /// A folder's files with their relative names, by the parts of these; nil for a plain file.
    private func files(under place: URL, called name: String) throws -> [(String, URL)]? {
        var isFolder = ObjCBool(false)
        guard FileManager.default.fileExists(atPath: place.path, isDirectory: &isFolder) else {
            throw damaged("\(name), which the manifest names, does not exist")
        }
        guard isFolder.boolValue else { return nil }
        let root = place.standardizedFileURL.resolvingSymlinksInPath().pathComponents
        guard
            let walk = FileManager.default.enumerator(
                at: place, includingPropertiesForKeys: [.isRegularFileKey])
        else { throw damaged("\(name) cannot be read") }
        var found: [([String], URL)] = []
        for case let file as URL in walk {
            guard try file.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile == true else {
                continue
            }
            // What the Finder leaves in folders is no part of a package.
            let last = file.lastPathComponent
            if [".DS_Store", ".localized"].contains(last) || last.hasPrefix("._") { continue }
            let parts = file.standardizedFileURL.resolvingSymlinksInPath().pathComponents
            found.append((Array(parts.dropFirst(root.count)), file))
        }
        found.sort { bytes($0.0).lexicographicallyPrecedes(bytes($1.0)) { $0.lexicographicallyPrecedes($1) } }
        return found.map { ($0.0.joined(separator: "/"), $0.1) }
    }

    /// Python sorts by code points; bytes of UTF-8 have the same order.
    private func bytes(_ parts: [String]) -> [[UInt8]] { parts.map { Array($0.utf8) } }

    private func read(_ file: URL, called name: String) throws -> Data {
        guard FileManager.default.fileExists(atPath: file.path) else {
            throw damaged("\(name), which the manifest names, does not exist")
        }
        do {
            return try Data(contentsOf: file, options: .mappedIfSafe)
        } catch {
            throw damaged("\(name) cannot be read (\(oneLine(error)))")
        }
    }

    private func damaged(_ what: String) -> BundleError {
        BundleError(
            "bundle \(folder.lastPathComponent): \(what); copy the whole bundle again or export again")
    }
}
