// Stand-in for Darwin: what the app uses of it, with the iOS that has it first.
@_exported import AppleFoundation

public typealias kern_return_t = Int32  // iOS 2.0
public typealias mach_msg_type_number_t = UInt32  // iOS 2.0
public typealias integer_t = Int32  // iOS 2.0
public typealias natural_t = UInt32  // iOS 2.0
public typealias task_flavor_t = natural_t  // iOS 2.0
public let KERN_SUCCESS: kern_return_t = 0  // iOS 2.0
public let TASK_VM_INFO: Int32 = 22  // iOS 7.0
nonisolated(unsafe) public var mach_task_self_: UInt32 = 0  // iOS 2.0
public struct task_vm_info_data_t {  // iOS 7.0
    public init() {}  // iOS 7.0
    public var phys_footprint: UInt64 = 0  // iOS 7.0
    public var ledger_phys_footprint_peak: Int64 = 0  // iOS 13.0
}
public func task_info(  // iOS 2.0
    _ task: UInt32, _ flavor: task_flavor_t, _ out: UnsafeMutablePointer<integer_t>!,
    _ count: UnsafeMutablePointer<mach_msg_type_number_t>!
) -> kern_return_t { fatalError() }
public func sysctlbyname(  // iOS 2.0
    _ name: UnsafePointer<CChar>!, _ old: UnsafeMutableRawPointer!, _ oldLength: UnsafeMutablePointer<Int>!,
    _ new: UnsafeMutableRawPointer!, _ newLength: Int
) -> Int32 { fatalError() }
