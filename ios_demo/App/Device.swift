import Darwin
import Recognizer
import UIKit

/// What the system tells of the device, for a report.
struct Device: Probe, Sendable {
    /// As the maker calls it: iPhone16,1.
    static var model: String { text("hw.machine") }
    /// Of the system: 21E219.
    static var build: String { text("kern.osversion") }
    static var appVersion: String {
        Bundle.main.object(forInfoDictionaryKey: "CFBundleShortVersionString") as? String ?? "unknown"
    }

    /// What a trial's result depends on besides the model.
    static var surroundings: String { "\(model) \(build) app \(appVersion)" }

    @MainActor static func facts() -> DeviceFacts {
        let process = ProcessInfo.processInfo
        let version = process.operatingSystemVersion
        return DeviceFacts(
            model: model, cores: process.processorCount, memoryBytes: Int(process.physicalMemory),
            os: UIDevice.current.systemName,
            osVersion: "\(version.majorVersion).\(version.minorVersion).\(version.patchVersion)",
            osBuild: build)
    }

    private let charge: Battery?

    /// The battery is read once, before a measurement: UIKit answers on the main thread alone.
    @MainActor init() {
        UIDevice.current.isBatteryMonitoringEnabled = true
        let level = UIDevice.current.batteryLevel
        let charging: Bool? =
            switch UIDevice.current.batteryState {
            case .charging, .full: true
            case .unplugged: false
            default: nil
            }
        charge = Battery(level: level < 0 ? nil : Double(level), charging: charging)
    }

    func battery() -> Battery? { charge }

    func footprintBytes() -> Int? { memory().map { Int($0.phys_footprint) } }

    func peakBytes() -> Int? { memory().map { Int($0.ledger_phys_footprint_peak) } }

    func powerMode() -> String? { ProcessInfo.processInfo.isLowPowerModeEnabled ? "low power" : "normal" }

    func thermal() -> Thermal {
        switch ProcessInfo.processInfo.thermalState {
        case .nominal: Thermal("nominal")
        case .fair: Thermal("fair")
        case .serious: Thermal("serious")
        case .critical: Thermal("critical")
        @unknown default: Thermal()
        }
    }

    private func memory() -> task_vm_info_data_t? {
        var info = task_vm_info_data_t()
        let words = MemoryLayout<task_vm_info_data_t>.size / MemoryLayout<integer_t>.size
        var count = mach_msg_type_number_t(words)
        let status = withUnsafeMutablePointer(to: &info) {
            $0.withMemoryRebound(to: integer_t.self, capacity: words) {
                task_info(mach_task_self_, task_flavor_t(TASK_VM_INFO), $0, &count)
            }
        }
        return status == KERN_SUCCESS ? info : nil
    }

    private static func text(_ name: String) -> String {
        var size = 0
        guard sysctlbyname(name, nil, &size, nil, 0) == 0 else { return "unknown" }
        var bytes = [UInt8](repeating: 0, count: size)
        guard sysctlbyname(name, &bytes, &size, nil, 0) == 0 else { return "unknown" }
        return String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
}
