// Stand-in for what Apple's Foundation and Dispatch have and Linux's have not: what the app uses of it, with
// the iOS that has it first.
@_exported import Foundation

// Dispatch. A subclass of Linux's DispatchQueue cannot be written.
public class DispatchQueue: @unchecked Sendable {}  // iOS 4.0
public final class DispatchSerialQueue: DispatchQueue, SerialExecutor, @unchecked Sendable {  // iOS 17.0
    public init(label: String, qos: DispatchQoS = .unspecified) {}  // iOS 17.0
    public func enqueue(_ job: consuming ExecutorJob) { fatalError() }  // iOS 17.0
    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }  // iOS 17.0
}

public struct NSKeyValueObservingOptions: OptionSet, Sendable {  // iOS 2.0
    public let rawValue: UInt
    public init(rawValue: UInt) { self.rawValue = rawValue }
    public static let new = Self(rawValue: 1), initial = Self(rawValue: 4)  // iOS 2.0
}
public struct NSKeyValueObservedChange<Value> { public let newValue: Value? }  // iOS 11.0
public final class NSKeyValueObservation: NSObject {}  // iOS 11.0

extension ProcessInfo {
    public enum ThermalState: Int, Sendable { case nominal, fair, serious, critical }  // iOS 11.0
    public static let thermalStateDidChangeNotification = Notification.Name("heat")  // iOS 11.0
    public var thermalState: ThermalState { fatalError() }  // iOS 11.0
    public var isLowPowerModeEnabled: Bool { fatalError() }  // iOS 9.0
}

extension String {
    public struct LocalizationValue: ExpressibleByStringLiteral { public init(stringLiteral value: String) {} }  // iOS 15.0
    public init(localized key: LocalizationValue) { fatalError() }  // iOS 15.0
}

extension URL {
    public static var applicationSupportDirectory: URL { fatalError() }  // iOS 16.0
    public static var documentsDirectory: URL { fatalError() }  // iOS 16.0
}
