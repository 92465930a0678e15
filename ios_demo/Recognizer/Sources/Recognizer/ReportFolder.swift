import Foundation

/// Where reports lie, each a JSON file that appears whole.
public struct ReportFolder: Sendable {
    public let folder: URL

    public init(_ folder: URL) { self.folder = folder }

    /// Writes the report of a bundle, measured from `created` on. Throws what the system says.
    public func write(_ report: Data, bundle: String, created: Date) throws -> URL {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        // The bundle's name is a plain file name: its manifest was read.
        let file = folder.appending(path: "\(bundle)-\(Self.stamp(created)).json")
        try report.write(to: file, options: .atomic)
        return file
    }

    /// A time in UTC, as it tells one report of a device from another: 20260131-081500.
    public static func stamp(_ date: Date) -> String {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let parts = calendar.dateComponents([.year, .month, .day, .hour, .minute, .second], from: date)
        return String(
            format: "%04d%02d%02d-%02d%02d%02d", parts.year ?? 0, parts.month ?? 0, parts.day ?? 0,
            parts.hour ?? 0,
            parts.minute ?? 0, parts.second ?? 0)
    }
}
