/// An error whose description is one line for a person: what is wrong, and the way out.
public protocol OneLineError: Error, CustomStringConvertible, Equatable {}

/// A bundle that is missing, damaged or of no use here.
public struct BundleError: OneLineError {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// A program that fails or answers nonsense.
public struct ProgramError: OneLineError {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// A picture that cannot be one.
public struct PictureError: OneLineError {
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// One line of any error: what Foundation and Core ML say may have several.
public func oneLine(_ error: any Error) -> String {
    let text = (error as? any OneLineError)?.description ?? error.localizedDescription
    return text.split(whereSeparator: \.isNewline).joined(separator: " ")
}
