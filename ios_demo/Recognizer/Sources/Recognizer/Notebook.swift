import Foundation

/// A few short texts that outlive the process.
public protocol Notebook: AnyObject {
    func get(_ key: String) -> String?

    /// Keeps a value, or with nil none; it is on disk when this returns. Throws what the system says.
    func put(_ key: String, _ value: String?) throws
}

/// A notebook in one small JSON file, which is replaced as a whole.
public final class FileNotebook: Notebook {
    private let file: URL
    private var texts: [String: String]

    /// A file that is missing or damaged is an empty notebook: what was checked is checked again.
    public init(_ file: URL) {
        self.file = file
        let data = try? Data(contentsOf: file)
        texts = data.flatMap { try? JSONDecoder().decode([String: String].self, from: $0) } ?? [:]
    }

    public func get(_ key: String) -> String? { texts[key] }

    public func put(_ key: String, _ value: String?) throws {
        texts[key] = value
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try JSONEncoder().encode(texts).write(to: file, options: .atomic)
    }
}
