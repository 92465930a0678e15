/// A bundle that is missing, damaged or of no use here; the description is one line for a person.
public struct BundleError: Error, CustomStringConvertible, Equatable {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// A program that fails or answers nonsense; the description is one line for a person.
public struct ProgramError: Error, CustomStringConvertible, Equatable {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// One line of any error: what Foundation and Core ML say may have several.
public func oneLine(_ error: any Error) -> String {
    let text = (error as? any CustomStringConvertible)?.description ?? error.localizedDescription
    return text.split(whereSeparator: \.isNewline).joined(separator: " ")
}
