import Foundation

/// Blocks this thread for so many nanoseconds.
public func sleepNanoseconds(_ count: Int) { Thread.sleep(forTimeInterval: Double(count) / 1e9) }
