console.log('pre of the own action')
