export type Sharing = 'nobody' | 'household' | 'street' | 'anybody'

export interface PoolRule {
  code: string
  name: { zh: string; en: string }
  groups: string[]
  area_classes: string[]
  household_sealed: boolean | null
  size: number
  sharing: Sharing
}

export interface Pooling {
  sizes: number[]
  default_size: number
  open_minutes: number
  short_pool: string
  grey_zone: string
  rules: PoolRule[]
}
