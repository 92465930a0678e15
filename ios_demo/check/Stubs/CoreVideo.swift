// Stand-in for CoreVideo: what the app uses of it, with the iOS that has it first.
@_exported import AppleFoundation

public class CVBuffer {}  // iOS 4.0; a Core Foundation class, not Sendable
public typealias CVImageBuffer = CVBuffer  // iOS 4.0
public typealias CVPixelBuffer = CVBuffer  // iOS 4.0
public typealias CVReturn = Int32  // iOS 4.0
public typealias OSType = UInt32  // iOS 2.0
public let kCVReturnSuccess: CVReturn = 0  // iOS 4.0
public let kCVPixelFormatType_32BGRA: OSType = 0x4247_5241  // iOS 4.0
public let kCVPixelFormatType_420YpCbCr8BiPlanarFullRange: OSType = 0x3432_3066  // iOS 4.0

public typealias CFString = NSString  // iOS 2.0
public typealias CFDictionary = NSDictionary  // iOS 2.0
public class CFAllocator {}  // iOS 2.0
nonisolated(unsafe) public let kCFAllocatorDefault: CFAllocator? = nil  // iOS 2.0
nonisolated(unsafe) public let kCVPixelBufferPixelFormatTypeKey: CFString = "PixelFormatType"  // iOS 4.0
nonisolated(unsafe) public let kCVPixelBufferIOSurfacePropertiesKey: CFString = "IOSurfaceProperties"  // iOS 4.0

public struct CVPixelBufferLockFlags: OptionSet, Sendable {  // iOS 4.0
    public let rawValue: UInt64
    public init(rawValue: UInt64) { self.rawValue = rawValue }
    public static let readOnly = CVPixelBufferLockFlags(rawValue: 1)  // iOS 4.0
}

public func CVPixelBufferCreate(  // iOS 4.0
    _ allocator: CFAllocator?, _ width: Int, _ height: Int, _ format: OSType, _ attributes: CFDictionary?,
    _ out: UnsafeMutablePointer<CVPixelBuffer?>
) -> CVReturn { fatalError() }
@discardableResult
public func CVPixelBufferLockBaseAddress(_ b: CVPixelBuffer, _ f: CVPixelBufferLockFlags) -> CVReturn { fatalError() }  // iOS 4.0
@discardableResult
public func CVPixelBufferUnlockBaseAddress(_ b: CVPixelBuffer, _ f: CVPixelBufferLockFlags) -> CVReturn { fatalError() }  // iOS 4.0
public func CVPixelBufferGetWidth(_ b: CVPixelBuffer) -> Int { fatalError() }  // iOS 4.0
public func CVPixelBufferGetHeight(_ b: CVPixelBuffer) -> Int { fatalError() }  // iOS 4.0
public func CVPixelBufferGetBytesPerRow(_ b: CVPixelBuffer) -> Int { fatalError() }  // iOS 4.0
public func CVPixelBufferGetBaseAddress(_ b: CVPixelBuffer) -> UnsafeMutableRawPointer? { fatalError() }  // iOS 4.0
public func CVPixelBufferGetPixelFormatType(_ b: CVPixelBuffer) -> OSType { fatalError() }  // iOS 4.0
public func CVPixelBufferGetBaseAddressOfPlane(_ b: CVPixelBuffer, _ p: Int) -> UnsafeMutableRawPointer? { fatalError() }  // iOS 4.0
public func CVPixelBufferGetBytesPerRowOfPlane(_ b: CVPixelBuffer, _ p: Int) -> Int { fatalError() }  // iOS 4.0
public func CVPixelBufferGetHeightOfPlane(_ b: CVPixelBuffer, _ p: Int) -> Int { fatalError() }  // iOS 4.0
