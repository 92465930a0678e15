// Stand-in for os: what the app uses of it, with the iOS that has it first.
public enum OSLogPrivacy: Sendable { case `public` }  // iOS 14.0
public struct OSLogMessage: ExpressibleByStringInterpolation {  // iOS 14.0
    public struct StringInterpolation: StringInterpolationProtocol {  // iOS 14.0
        public init(literalCapacity: Int, interpolationCount: Int) {}
        public mutating func appendLiteral(_ literal: String) {}
        public mutating func appendInterpolation(_ text: @autoclosure () -> String, privacy: OSLogPrivacy) {}
    }
    public init(stringLiteral value: String) {}
    public init(stringInterpolation: StringInterpolation) {}
}
public struct Logger: Sendable {  // iOS 14.0
    public init(subsystem: String, category: String) {}  // iOS 14.0
    public func notice(_ message: OSLogMessage) {}  // iOS 14.0
    public func error(_ message: OSLogMessage) {}  // iOS 14.0
}
public struct OSAllocatedUnfairLock<State>: @unchecked Sendable {  // iOS 16.0
    public init(initialState: State) where State: Sendable {}  // iOS 16.0
    public func withLock<R: Sendable>(_ body: @Sendable (inout State) throws -> R) rethrows -> R { fatalError() }  // iOS 16.0
}
